// Edits: what they do to accuracy, groups, a ranking and a picture's scores; their files.
#include <algorithm>
#include <chrono>

#include "cliplens/analysis/groups.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/model/nn/product.h"
#include "cliplens/report/edit_report.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/report/group_report.h"
#include "cliplens/report/json.h"
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

Json WantedJson(const WantedEdit& wanted) {
  return EditedComponentsJson(wanted.targets, wanted.mean, wanted.scale);
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

void KeepBest(std::vector<ScoredItem>& scored, Index count) {
  const auto better = [](const ScoredItem& a, const ScoredItem& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  };
  const auto kept = std::min<std::size_t>(scored.size(), ToSize(count));
  std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(kept),
                    scored.end(), better);
  scored.resize(kept);
}

Json RankingOf(Source& source, const std::vector<ScoredItem>& found) {
  return RankingJson(found, [&](Index item) { return source.item(item).path; });
}

// Pictures most like a query, before and after an edit, which changes the query's picture too.
class Ranking {
 public:
  Ranking(Source& source, const Arguments& query, Index count) : source_(source), count_(count) {
    if (query.Has("text")) {
      const std::string text = query.Text("text");
      text_ = source.RowOfText(text);
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

  Json Base() {
    const std::string key = fmt::format("{} {}", count_, key_);
    if (const auto found = source_.answers().Find(key)) return *found;
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
    Json json = RankingOf(source_, scored);
    source_.answers().Add(key, json, 4'096 + 256 * count_);
    return json;
  }

  Json Edited(LiveEdit& live, const WantedEdit& wanted) {
    const Array<float, 2>& rows = live.Rows();
    std::vector<float> query = text_;
    if (pass_ != nullptr) {
      query.assign(pass_->embedding.row(0).begin(), pass_->embedding.row(0).end());
      if (!wanted.targets.empty()) {
        ModelEdit::Scratch scratch;
        ModelEdit(source_.model().image_readout(), MakeEdit(source_, wanted))
            .Apply(pass_->captures, query, scratch);
        NormalizeRow(query);
      }
    }
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
  if (!names.empty()) wanted.targets = ParseComponents(names, {source.layers(), source.heads()});
  return wanted;
}

Edit MakeEdit(Source& source, const WantedEdit& wanted) {
  const Store& store = source.store();
  if (wanted.mean) {
    return MakeMeanEdit(store.info(), store.basis(), source.means(), wanted.targets);
  }
  return MakeScaleEdit(store.info(), store.basis(), wanted.scale, wanted.targets);
}

Json EditedOf(Source& source, const Arguments& request) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const Store& store = source.store();
  const WantedEdit wanted = WantedEditOf(source, request.Object("edit"));
  const bool ranked = request.Has("query");
  std::optional<Ranking> ranking;
  if (ranked) ranking.emplace(source, request.Object("query"), request.Count("count", 12, 1, 100));

  Json json = {{"format", "cliplens.explorer.edit/2"},
               {"model", ModelJson(store.info())},
               {"data", DataJson(store.info())},
               {"images", store.info().images},
               {"edit", WantedJson(wanted)},
               {"accuracy", nullptr},
               {"groups", nullptr},
               {"ranking", nullptr},
               {"scores", nullptr}};
  {
    Source::Live& live = source.live(ranked);
    const std::scoped_lock lock(live.mutex);
    live.edit.Apply(wanted.targets, wanted.mean, wanted.scale);
    const std::string problem = ProblemOfLabels(source);
    if (!problem.empty()) json["accuracy_problem"] = problem;
    if (source.options().classes && problem.empty()) {
      const std::vector<Index>& labels = source.matched_labels().classes;
      const std::vector<Index>& base = live.edit.BaseAnswers();
      const std::vector<Index>& edited = live.edit.Answers();
      json["accuracy"] = {
          {"images", std::ranges::count_if(labels, [](Index label) { return label >= 0; })},
          {"base", EstimateJson(AccuracyOfAnswers(labels, base, live.blocks))},
          {"edited", EstimateJson(AccuracyOfAnswers(labels, edited, live.blocks))}};
      if (const std::string attribute = request.Text("attribute", ""); !attribute.empty()) {
        const auto values = source.groups(attribute);
        const PictureGroups groups{
            .classes = labels,
            .attributes = values->value_of,
            .num_classes = static_cast<Index>(source.options().classes->file.names.size()),
            .num_attributes = static_cast<Index>(values->values.size())};
        const auto row_of = [&](const char* name, const std::vector<Index>& answers) {
          return GroupRowJson(RowOfAnswers(name, groups, answers, live.blocks),
                              source.options().classes->file.names, values->values);
        };
        const std::string key = "groups " + attribute;
        std::shared_ptr<const Json> base_row = source.answers().Find(key);
        if (base_row == nullptr) {
          base_row = source.answers().Add(key, row_of("base", base), 64 * 1024);
        }
        const Json rows = {*base_row, row_of("edit", edited)};
        json["groups"] = {{"attribute", attribute}, {"values", values->values}, {"rows", rows}};
      }
    }
    if (ranking) {
      json["ranking"] = {{"base", ranking->Base()}, {"edited", ranking->Edited(live.edit, wanted)}};
    }
  }
  if (request.Has("picture")) {
    json["scores"] = EditedScoresJson(PictureScoresOf(source, request));
  }
  json["milliseconds"] = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return json;
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
  Json json = EditJson(edit, "");
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
  wanted.mean = mode->first;
  wanted.scale = mode->second;
  json["edit"] = WantedJson(wanted);
  // The page replaces by the means of its own store.
  json["other_means"] =
      wanted.mean && edit.means_images > 0 &&
      DistanceOfMeans(edit, source.store().basis(), source.store().statistics()) > 1e-3;
  return json;
}

}  // namespace cliplens::server
