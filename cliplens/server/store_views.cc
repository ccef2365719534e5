// Views of a store: the grid of heads, one head, its pictures, what is alike.
#include <algorithm>

#include "cliplens/app/matches.h"
#include "cliplens/app/report_content.h"
#include "cliplens/app/spaces.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/match_report.h"
#include "cliplens/report/search_report.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

HeadId OneHead(const Source& source, const std::string& name) {
  const std::vector<HeadId> heads = source.model_heads().Parse(name);
  if (heads.size() == 1) return heads.front();
  throw Error(ErrorCode::kInvalidArgument, "{}: one head is wanted, such as L{}.H0",
              Printable(name), source.layers() - 1);
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

Json OverviewOf(Source& source) {
  const auto labels = source.labels();
  return OverviewJson(source.store().info(), source.shares(),
                      labels ? labels->overview : Json(nullptr));
}

Json HeadOf(Source& source, const std::string& head, const Request& request) {
  const Store& store = source.store();
  const HeadId id = OneHead(source, head);
  const Index count = CountOf(request, "count", 20, 1, kMostResults);
  const Index pictured = CountOf(request, "pictured", 5, 0, kMostTexts);
  const Index pictures = CountOf(request, "pictures", 8, 0, 100);
  const Array<float, 2>& texts = source.texts();
  const TextPool& pool = *source.options().pool;
  const ReportOptions options{.span = {.count = count},
                              .pictured_texts = pictured,
                              .pictures = pictures,
                              .threads = source.threads()};
  const ReportHead described = DescribeHeads(store, texts, {id}, options).front();
  const auto labels = source.labels();
  const bool labelled = labels && labels->heads.contains(id);
  return HeadJson(
      store.info(), pool, described, source.shares(),
      [&](Index item) { return source.item(item).path; },
      labelled ? labels->heads.at(id) : Json(nullptr));
}

Json ItemListOf(Source& source, const Request& request) {
  const Store& store = source.store();
  const Index from = CountOf(request, "from", 0, 0, Index{1} << 40);
  const Index count = CountOf(request, "count", 200, 1, kMostResults);
  const std::string_view find = request.parameter("find");
  ItemList list{.from = from, .entries = {}};
  Index number = 0, matching = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const Index images = store.shard(s).images;
    // Without a search whole shards are passed over.
    if (find.empty() && (number + images <= from || number >= from + count)) {
      number += images;
      matching += images;
      continue;
    }
    for (const Item& item : *source.ItemsOfShard(s)) {
      const bool wanted =
          find.empty() || Contains(item.path, find) || (item.label && Contains(*item.label, find));
      if (wanted) {
        if (matching >= from && matching < from + count) {
          list.entries.push_back({number, item});
        }
        ++matching;
      }
      ++number;
    }
  }
  list.total = matching;
  return ItemListJson(list);
}

Json SearchOf(Source& source, const Arguments& request) {
  const Store& store = source.store();
  SearchReport report;
  report.store = store.info();
  const Likeness likeness =
      LikenessNamed(request.Text("definition", "score-of-sum"), request.Text("measure", "cosine"));
  SearchOptions options;
  options.count = request.Count("count", 24, 1, kMostResults);
  options.threads = source.threads();
  std::vector<std::shared_ptr<const SearchVectors>> vectors;
  std::vector<SearchTerm> terms;
  for (const Arguments& term : request.Objects("terms", kMostTerms)) {
    std::string in;
    SearchSpace space = source.SpaceOf(term, "in", &in);
    space.definition = likeness.definition;
    space.measure = likeness.measure;
    const Arguments query = term.Object("query");
    vectors.push_back(source.Vectors(space));
    SearchTerm made{.vectors = vectors.back().get(), .weight = term.Flag("unlike") ? -1.0 : 1.0};
    std::string name;
    if (query.Has("text")) {
      const std::string text = query.Text("text");
      name = "\"" + text + "\"";
      made.query = made.vectors->OfText(source.RowOfText(text, request.Flag("truncate")));
    } else if (query.Has("picture") || query.Has("neuron_picture")) {
      const ShownPicture picture = source.Picture(query);
      const auto pass = source.Pass(picture);
      name = picture.path;
      made.query = made.vectors->OfPicture(pass->captures, pass->embedding.row(0));
    } else {
      const Index item = query.Count("item", -1, 0, Index{1} << 40);
      if (item < 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    "query: name an item, a picture or a text to search for");
      }
      name = fmt::format("item {}", item);
      made.query = made.vectors->OfItem(item);
      options.exclude.push_back(item);
    }
    report.terms.push_back({.query = name,
                            .in = space.heads.empty() ? "embedding" : in,
                            .unlike = term.Flag("unlike"),
                            .space = space});
    terms.push_back(std::move(made));
  }
  report.results = Search(store, terms, options);
  report.items = ItemsOf(store, report.results);
  return SearchJson(report);
}

Json MatchOf(Source& source, Source& other) {
  const auto side = [](Source& one) -> MatchSide {
    const auto labels = one.labels();
    return {&one.store(), labels ? NamesOfHeads(labels->file) : std::map<HeadId, std::string>()};
  };
  return MatchJson(MatchStores(side(source), side(other), {.threads = source.threads()}));
}

}  // namespace cliplens::server
