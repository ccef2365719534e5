#include "cliplens/app/search.h"

#include <map>
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/search_index.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/file.h"
#include "cliplens/io/output_files.h"

namespace cliplens {
namespace {

constexpr char kTextPrefix[] = "text:";

// Turns queries into vectors; a picture's pass is computed once.
class Queries {
 public:
  // `upright`: pictures are turned by their EXIF orientation, as those of the store were.
  Queries(const LazyModel& model, bool truncate, bool upright, int threads)
      : model_(model), truncate_(truncate), upright_(upright), threads_(threads) {}

  std::vector<float> VectorOf(const SearchQuery& query, const SearchVectors& vectors) {
    if (query.kind == SearchQuery::Kind::kItem) return vectors.OfItem(query.item);
    if (query.kind == SearchQuery::Kind::kText) {
      return vectors.OfText(model_.EmbedTexts({&query.text, 1}, truncate_, threads_).row(0));
    }
    const TokenPass& pass = PassOfFile(query.text);
    return vectors.OfPicture(pass.captures, pass.embedding.row(0));
  }

 private:
  const TokenPass& PassOfFile(const std::string& path) {
    const auto found = passes_.find(path);
    if (found != passes_.end()) return found->second;
    const Image image = ReadPicture(path, model_.Get().config().preprocess, upright_);
    return passes_.emplace(path, PassOf(model_.Get(), image, threads_, path)).first->second;
  }

  const LazyModel& model_;
  bool truncate_;
  bool upright_;
  int threads_;
  std::map<std::string, TokenPass> passes_;
};

void CheckPart(const StorePart& part, Index shards) {
  if (part.index >= 0 && part.index < part.parts && part.parts <= std::max<Index>(shards, 1)) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "--shard {}/{}: parts of {} shards count from 0; ask for one of at most so many",
              part.index, part.parts, shards);
}

SpaceChoice SpaceOfQuery(const SearchChoice& choice, const SearchQuery& query) {
  return query.in ? choice.space.In(*query.in) : choice.space;
}

// The one query is answered by an index.
void AskIndex(const Store& store, const LazyModel& model, const SearchChoice& choice,
              const SearchOptions& options, const Work& work, SearchReport& report) {
  const SearchQuery& query = choice.queries.front();
  if (choice.part.parts > 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "an index is of the whole store; leave out --index or --shard");
  }
  if (choice.queries.size() > 1 || query.unlike) {
    throw Error(ErrorCode::kInvalidArgument,
                "--index answers one query; several likenesses are searched in the store itself");
  }
  const bool chosen = choice.space_is_chosen || query.in;
  const SpaceChoice place = SpaceOfQuery(choice, query);
  const SearchSpace space = OpenSpace(place, store, model.ForRows(), work);
  if (!OutputFiles::Exists(choice.index)) {
    OutputFiles files(SearchIndexFiles(choice.index));
    WriteSearchIndex(choice.index, files, store, space, work.threads, work.Stage("index"));
    files.Commit();
  }
  SearchIndex index = ReadSearchIndex(choice.index, store);
  if (chosen && !IsSameSpace(index.space, space)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: an index of other heads or another measure than asked for; name another file",
                choice.index);
  }
  std::vector<float> vector;
  if (query.kind == SearchQuery::Kind::kItem) {
    const std::span<const float> row = index.vectors.row(query.item);
    vector.assign(row.begin(), row.end());
  } else {
    vector = Queries(model, choice.truncate, TurnsUpright(store), work.threads)
                 .VectorOf(query, SearchVectors(store, index.space));
  }
  report.index = choice.index;
  report.results = Search(index, vector, options);
  report.terms.push_back(
      {query.Name(), chosen ? place.Text() : "the index", false, std::move(index.space)});
}

void AskStore(const Store& store, const LazyModel& model, const SearchChoice& choice,
              const SearchOptions& options, const Work& work, SearchReport& report) {
  Queries queries(model, choice.truncate, TurnsUpright(store), work.threads);
  std::vector<std::unique_ptr<SearchVectors>> vectors;
  std::vector<SearchTerm> terms;
  for (const SearchQuery& query : choice.queries) {
    const SpaceChoice place = SpaceOfQuery(choice, query);
    SearchSpace space = OpenSpace(place, store, model.ForRows(), work);
    vectors.push_back(std::make_unique<SearchVectors>(store, space));
    terms.push_back({vectors.back().get(), queries.VectorOf(query, *vectors.back()),
                     query.unlike ? -1.0 : 1.0});
    report.terms.push_back({query.Name(), place.Text(), query.unlike, std::move(space)});
  }
  report.results = Search(store, terms, options);
}

}  // namespace

std::vector<Item> ItemsOf(const Store& store, const std::vector<ScoredItem>& found) {
  std::map<Index, std::vector<Item>> shards;
  std::vector<Item> items;
  for (const ScoredItem& scored : found) {
    Index first = 0, shard = 0;
    while (scored.item >= first + store.shard(shard).images) first += store.shard(shard++).images;
    if (!shards.contains(shard)) shards[shard] = store.ReadItems(shard);
    items.push_back(At(shards[shard], scored.item - first));
  }
  return items;
}

std::string SearchQuery::Name() const {
  switch (kind) {
    case Kind::kItem:
      return fmt::format("item {}", item);
    case Kind::kImage:
      return text;
    case Kind::kText:
      return fmt::format("\"{}\"", text);
  }
  return "";
}

SearchQuery ParseQuery(const std::string& given) {
  if (given.starts_with(kTextPrefix)) {
    return {.kind = SearchQuery::Kind::kText, .text = given.substr(sizeof(kTextPrefix) - 1)};
  }
  const auto item = ParseNumber<Index>(given);
  if (item && !Exists(given)) return {.item = *item};
  return {.kind = SearchQuery::Kind::kImage, .text = given};
}

SearchReport FindPictures(const Store& store, const LazyModel& model, const SearchChoice& choice,
                          const Work& work) {
  if (choice.queries.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "nothing to search for: name a picture, an item or a text");
  }
  CheckPart(choice.part, store.num_shards());
  SearchOptions options{.count = choice.count,
                        .part = choice.part,
                        .threads = work.threads,
                        .progress = work.Stage("shards")};
  for (const SearchQuery& query : choice.queries) {
    if (query.kind == SearchQuery::Kind::kItem) options.exclude.push_back(query.item);
  }
  SearchReport report;
  report.store = store.info();
  const auto ask = choice.index.empty() ? AskStore : AskIndex;
  ask(store, model, choice, options, work, report);
  report.items = ItemsOf(store, report.results);
  return report;
}

}  // namespace cliplens
