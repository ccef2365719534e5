// Edits: what they do to accuracy, groups, a ranking and a picture's scores; their files.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "cliplens/analysis/groups.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/model/nn/product.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

constexpr Index kMostTargets = 100'000;

// Why there is no accuracy where there are classes: pictures without labels, or of other classes.
std::string ProblemOfLabels(Source& source) {
  if (!source.options().classes) return "";
  try {
    source.matched_labels();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Dot products of unit rows, numbered from `first`, with a unit query, without row `but`.
std::vector<ScoredItem> Scored(ArrayView<const float, 2> rows, std::span<const float> query,
                               Index first, Index but, int threads) {
  constexpr Index kRowsATask = 512;
  const ArrayView<const float, 2> one(query.data(), {1, static_cast<Index>(query.size())});
  std::vector<double> scores(ToSize(rows.dim(0)));
  ParallelFor(threads, (rows.dim(0) + kRowsATask - 1) / kRowsATask, [&](Index task, int) {
    const Index begin = task * kRowsATask;
    const Index end = std::min(rows.dim(0), begin + kRowsATask);
    nn::AddProduct(nn::Of(rows.rows(begin, end)), nn::Of(one).Transposed(), &At(scores, begin),
                   /*c_stride=*/1);
  });
  std::vector<ScoredItem> scored;
  for (Index i = 0; i < rows.dim(0); ++i) {
    if (first + i != but) scored.push_back({first + i, At(scores, i)});
  }
  return scored;
}

RankedItems RankingOf(Source& source, const std::vector<ScoredItem>& found) {
  RankedItems ranked{found, {}};
  for (const ScoredItem& scored : found) ranked.items.push_back(source.item(scored.item));
  return ranked;
}

// Pictures most like a query, before and after an edit, which changes the query's picture too.
class Ranking {
 public:
  Ranking(Source& source, const Arguments& query, Index count, bool truncate)
      : source_(source), count_(count) {
    if (query.Has("text")) {
      const std::string text = query.Text("text");
      text_ = source.RowOfText(text, truncate);
      key_ = "text " + text;
    } else if (query.Has("picture")) {
      const ShownPicture picture = source.Picture(query);
      pass_ = source.Pass(picture);
      key_ = "picture " + picture.key;
    } else {
      item_ = query.Count("item", 0, 0, source.store().info().images - 1);
      key_ = fmt::format("item {}", item_);
    }
  }

  RankedItems Base() {
    const std::string key = fmt::format("{} {}", count_, key_);
    if (const auto found = source_.rankings().Find(key)) return *found;
    const Store& store = source_.store();
    std::vector<float> query = text_;
    if (pass_ != nullptr) {
      query.assign(pass_->embedding.row(0).begin(), pass_->embedding.row(0).end());
    }
    if (query.empty()) query = RowOfItem();
    std::vector<ScoredItem> scored;
    Index first = 0;
    for (Index s = 0; s < store.num_shards(); ++s) {
      const Array<float, 2> rows = store.ReadEmbeddings(s);
      const std::vector<ScoredItem> some = Scored(rows, query, first, item_, source_.threads());
      scored.insert(scored.end(), some.begin(), some.end());
      KeepBest(scored, count_);
      first += rows.dim(0);
    }
    return *source_.rankings().Add(key, RankingOf(source_, scored), 4'096 + 256 * count_);
  }

  RankedItems Edited(LiveEdit& live, const WantedEdit& wanted) {
    const Array<float, 2>& rows = live.Rows();
    std::vector<float> query = text_;
    if (pass_ != nullptr) query = EditedRow(source_, *pass_, wanted);
    if (query.empty()) query.assign(rows.row(item_).begin(), rows.row(item_).end());
    std::vector<ScoredItem> scored = Scored(rows, query, 0, item_, source_.threads());
    KeepBest(scored, count_);
    return RankingOf(source_, scored);
  }

 private:
  std::vector<float> RowOfItem() const {
    const Store& store = source_.store();
    Index left = item_;
    for (Index s = 0; s < store.num_shards(); ++s) {
      if (left < store.shard(s).images) {
        const Array<float, 2> rows = store.ReadEmbeddings(s);
        return {rows.row(left).begin(), rows.row(left).end()};
      }
      left -= store.shard(s).images;
    }
    throw Error(ErrorCode::kNotFound, "there is no picture {}", item_);
  }

  Source& source_;
  Index count_;
  std::string key_;
  std::vector<float> text_;                // of a text
  std::shared_ptr<const TokenPass> pass_;  // of a sent picture
  Index item_ = -1;                        // of the store
};

// Accuracy, and that of groups where an attribute is named.
void PutAccuracy(Source& source, const Arguments& request, Source::Live& live,
                 EditedReport& report) {
  const std::vector<Index>& labels = source.matched_labels().classes;
  const std::vector<Index>& base = live.edit.BaseAnswers();
  const std::vector<Index>& edited = live.edit.Answers();
  report.accuracy = {std::ranges::count_if(labels, [](Index label) { return label >= 0; }),
                     AccuracyOfAnswers(labels, base, live.blocks),
                     AccuracyOfAnswers(labels, edited, live.blocks)};
  const std::string attribute = request.Text("attribute", "");
  if (attribute.empty()) return;
  const std::vector<std::string>& classes = source.options().classes->file.names;
  const auto values = source.groups(attribute);
  const PictureGroups groups{.classes = labels,
                             .attributes = values->value_of,
                             .num_classes = std::ssize(classes),
                             .num_attributes = std::ssize(values->values)};
  auto base_row = source.base_rows().Find(attribute);
  if (base_row == nullptr) {
    base_row = source.base_rows().Add(attribute, RowOfAnswers("base", groups, base, live.blocks),
                                      64 * 1024);
  }
  report.groups = {attribute, classes, values->values, *base_row,
                   RowOfAnswers("edit", groups, edited, live.blocks)};
}

}  // namespace

WantedEdit WantedEditOf(const Source& source, const Arguments& edit) {
  WantedEdit wanted;
  const std::string mode = edit.Text("mode", "mean");
  if (mode != "mean" && mode != "scale") {
    throw Error(ErrorCode::kInvalidArgument, "edit.mode: mean or scale is wanted");
  }
  wanted.mean = mode == "mean";
  wanted.scale = edit.Number("scale", 0);
  std::string names;
  for (const std::string& name : edit.Texts("components", kMostTargets)) {
    names += (names.empty() ? "" : ",") + name;
  }
  if (!names.empty()) wanted.targets = ParseComponents(names, source.model_heads().components());
  return wanted;
}

Edit MakeEdit(Source& source, const WantedEdit& wanted) {
  const Store& store = source.store();
  if (wanted.mean) {
    return MakeMeanEdit(store.info(), store.basis(), source.means(), wanted.targets);
  }
  return MakeScaleEdit(store.info(), store.basis(), wanted.scale, wanted.targets);
}

std::vector<float> EditedRow(Source& source, const TokenPass& pass, const WantedEdit& wanted) {
  std::vector<float> row(pass.embedding.row(0).begin(), pass.embedding.row(0).end());
  if (wanted.targets.empty()) return row;
  ModelEdit::Scratch scratch;
  ModelEdit(source.model().image_readout(), MakeEdit(source, wanted))
      .Apply(pass.captures, row, scratch);
  NormalizeRow(row);
  return row;
}

EditedReport EditedOf(Source& source, const Arguments& request) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  EditedReport report;
  report.store = source.store().info();
  const WantedEdit& wanted = report.edit = WantedEditOf(source, request.Object("edit"));
  const bool ranked = request.Has("query");
  std::optional<Ranking> ranking;
  if (ranked)
    ranking.emplace(source, request.Object("query"), request.Count("count", 12, 1, 100),
                    request.Flag("truncate"));
  {
    Source::Live& live = source.live(ranked);
    const std::scoped_lock lock(live.mutex);
    live.edit.Apply(wanted.targets, wanted.mean, wanted.scale);
    report.accuracy_problem = ProblemOfLabels(source);
    if (source.options().classes && report.accuracy_problem.empty()) {
      PutAccuracy(source, request, live, report);
    }
    if (ranking) report.ranking = {ranking->Base(), ranking->Edited(live.edit, wanted)};
  }
  if (request.Has("picture")) report.scores = PictureScoresOf(source, request);
  report.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return report;
}

Response EditFileOf(Source& source, const Arguments& request) {
  const WantedEdit wanted = WantedEditOf(source, request.Object("edit"));
  if (wanted.targets.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "edit.components: name at least one component");
  }
  Edit edit = MakeEdit(source, wanted);
  edit.note = request.Text("note", "");
  Response response{.body = EditText(edit)};
  response.headers = {{"Content-Disposition", "attachment; filename=\"edit.json\""}};
  return response;
}

Json OpenedEditOf(Source& source, const std::string& file) {
  const Edit edit = ParseEdit(file, "the edit");
  CheckEditIsFor(edit, "the edit", source.fingerprint(), source.options().name);
  WantedEdit wanted;
  std::optional<std::pair<bool, double>> mode;
  for (const EditComponent& component : edit.components) {
    const std::pair<bool, double> own{component.mean, component.mean ? 0.0 : component.scale};
    if (mode && *mode != own) {
      throw Error(ErrorCode::kUnsupported,
                  "the edit replaces some components and scales others, or by different numbers; "
                  "the page shows one of these at a time. Use 'cliplens evaluate groups --edit'");
    }
    mode = own;
    wanted.targets.push_back(component.target);
  }
  std::tie(wanted.mean, wanted.scale) = mode.value_or(std::pair{false, 1.0});
  // The page replaces by the means of its own store.
  const bool other_means =
      wanted.mean && edit.means_images > 0 &&
      DistanceOfMeans(edit, source.store().basis(), source.store().statistics()) > 1e-3;
  return OpenedEditJson(edit, wanted, other_means);
}

}  // namespace cliplens::server
