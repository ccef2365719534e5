// cliplens search STORE --image F --property colour --labels labels.json
#include <charconv>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/search_space.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/report/search_index.h"
#include "cliplens/report/search_report.h"

namespace cliplens::cli {
namespace {

constexpr char kTextPrefix[] = "text:";

struct SearchArguments {
  std::string store;
  std::vector<std::string> image, text, like, unlike, in;
  std::vector<Index> item;
  SpaceChoice space;
  SearchOptions search;
  std::string index;
  ModelChoice model;
  bool truncate = false;
};

// What is asked for, before it is a vector.
struct Query {
  enum class Kind { kItem, kImage, kText } kind = Kind::kItem;
  Index item = 0;
  std::string text;  // the text, or the picture's path
  bool unlike = false;
  std::optional<std::string> in;

  std::string Name() const {
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
};

// A or B of --like A and --unlike B: a picture's file, an item's number, or text:WORDS.
Query ParseReference(const std::string& given) {
  Query query;
  if (given.starts_with(kTextPrefix)) {
    query.kind = Query::Kind::kText;
    query.text = given.substr(sizeof(kTextPrefix) - 1);
    return query;
  }
  const char* end = given.data() + given.size();
  const auto parsed = std::from_chars(given.data(), end, query.item);
  if (!Exists(given) && parsed.ec == std::errc() && parsed.ptr == end) return query;
  query.kind = Query::Kind::kImage;
  query.text = given;
  return query;
}

// The queries in the order of the command line; --in belongs to the one before it.
std::vector<Query> QueriesOf(const CLI::App& verb, const SearchArguments& options) {
  std::vector<Query> queries;
  std::map<std::string, std::size_t> next;
  for (const CLI::Option* option : verb.parse_order()) {
    const std::string name = option->get_name();
    const std::size_t at = next[name]++;
    if (name == "--image") {
      queries.push_back({Query::Kind::kImage, 0, options.image.at(at), false, {}});
    } else if (name == "--text") {
      queries.push_back({Query::Kind::kText, 0, options.text.at(at), false, {}});
    } else if (name == "--item") {
      queries.push_back({Query::Kind::kItem, options.item.at(at), "", false, {}});
    } else if (name == "--like") {
      queries.push_back(ParseReference(options.like.at(at)));
    } else if (name == "--unlike") {
      queries.push_back(ParseReference(options.unlike.at(at)));
      queries.back().unlike = true;
    } else if (name == "--in") {
      if (queries.empty() || queries.back().in) {
        throw Error(ErrorCode::kInvalidArgument,
                    "--in {}: it stands behind the --like or --unlike that it belongs to",
                    options.in.at(at));
      }
      queries.back().in = options.in.at(at);
    }
  }
  if (queries.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "nothing to search for: give --image FILE, --item N, --text TEXT or --like");
  }
  return queries;
}

// Turns queries into vectors; the model is loaded at the first that needs it.
class Terms {
 public:
  Terms(const Store& store, const SearchArguments& options, const Common& common)
      : store_(store), options_(options), common_(common) {}

  SpaceChoice ChoiceOf(const Query& query) const {
    return query.in ? options_.space.In(*query.in) : options_.space;
  }

  SearchSpace SpaceOfChoice(const SpaceChoice& choice) {
    return SpaceOf(
        choice, store_, [this]() -> const ClipModel& { return model(); }, common_);
  }

  std::vector<float> QueryOf(const Query& query, const SearchVectors& vectors) {
    if (query.kind == Query::Kind::kItem) return vectors.OfItem(query.item);
    if (query.kind == Query::Kind::kText) {
      const std::vector<std::string> texts = {query.text};
      return vectors.OfText(model().EmbedTexts(texts, options_.truncate, common_.threads).row(0));
    }
    const TokenPass& pass = PassOfFile(query.text);
    return vectors.OfPicture(pass.captures, pass.embedding.row(0));
  }

 private:
  const ClipModel& model() {
    if (!model_) model_.emplace(LoadModelOf(store_, options_.model));
    return *model_;
  }

  const TokenPass& PassOfFile(const std::string& path) {
    const auto found = passes_.find(path);
    if (found != passes_.end()) return found->second;
    const std::unique_ptr<ImageSet> set = OpenImageSet(path);
    if (set->kind() != "picture") {
      throw Error(ErrorCode::kInvalidArgument, "{}: one picture is wanted, not a set of them",
                  path);
    }
    const Image image = DecodeImage(set->Read(0), path);
    return passes_.emplace(path, PassOf(model(), image, common_.threads)).first->second;
  }

  const Store& store_;
  const SearchArguments& options_;
  const Common& common_;
  std::optional<ClipModel> model_;
  std::map<std::string, TokenPass> passes_;
};

void Run(const CLI::App& verb, SearchArguments options, const Common& common) {
  const std::vector<Query> queries = QueriesOf(verb, options);
  const Store store = Store::Open(options.store);
  for (const Query& query : queries) {
    if (query.kind == Query::Kind::kItem) options.search.exclude.push_back(query.item);
  }
  options.search.threads = common.threads;
  options.search.progress = Progress(common, "shards");
  Terms terms(store, options, common);
  SearchReport report;
  report.store = store.info();
  report.index = options.index;
  if (!options.index.empty()) {
    if (queries.size() > 1 || queries[0].unlike) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--index answers one query; several likenesses are searched in the store itself");
    }
    const bool chosen = SpaceIsChosen(verb) || queries[0].in;
    const SpaceChoice choice = terms.ChoiceOf(queries[0]);
    SearchSpace space = terms.SpaceOfChoice(choice);
    if (!Exists(options.index)) {
      WriteSearchIndex(options.index, store, space, common.threads, Progress(common, "index"));
    }
    const SearchIndex index = ReadSearchIndex(options.index, store);
    if (chosen && !IsSameSpace(index.space, space)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: an index of other heads or another measure than asked for; name another "
                  "file",
                  options.index);
    }
    space = index.space;
    std::vector<float> query;
    if (queries[0].kind == Query::Kind::kItem) {
      const std::span<const float> row = index.vectors.row(queries[0].item);
      query.assign(row.begin(), row.end());
    } else {
      query = terms.QueryOf(queries[0], SearchVectors(store, space));
    }
    report.results = Search(index, query, options.search);
    report.terms.push_back(
        {queries[0].Name(), chosen ? choice.Text() : "the index", false, std::move(space)});
  } else {
    std::vector<std::unique_ptr<SearchVectors>> vectors;
    std::vector<SearchTerm> list;
    for (const Query& query : queries) {
      const SpaceChoice choice = terms.ChoiceOf(query);
      SearchSpace space = terms.SpaceOfChoice(choice);
      vectors.push_back(std::make_unique<SearchVectors>(store, space));
      list.push_back(
          {vectors.back().get(), terms.QueryOf(query, *vectors.back()), query.unlike ? -1.0 : 1.0});
      report.terms.push_back({query.Name(), choice.Text(), query.unlike, std::move(space)});
    }
    report.results = Search(store, list, options.search);
  }
  report.items = ItemsOf(store, report.results);
  if (common.json) return PrintJson(SearchJson(report));
  Print(SearchTable(report));
}

}  // namespace

void AddSearch(CLI::App& app, Common& common) {
  auto options = std::make_shared<SearchArguments>();
  CLI::App* verb =
      AddVerb(app, common, "search", "The pictures of a store that are most alike in some heads",
              "cliplens search store --image duck.png --property colour --labels labels.json\n"
              "  cliplens search store --like 12 --in colour --unlike 40 --in place --labels "
              "labels.json");
  verb->add_option("STORE", options->store, "Store directory with factors of pictures")->required();
  // One value each, as often as wanted; their order is kept.
  const auto many = [&](const char* name, auto& values, const char* help) {
    verb->add_option(name, values, help)->allow_extra_args(false);
  };
  many("--image", options->image, "Pictures like this file");
  many("--item", options->item, "Pictures like this item of the store (by number, from 0)");
  many("--text", options->text, "Pictures of this text");
  many("--like", options->like, "As --image, --item or --text: FILE, N or text:WORDS; may repeat");
  many("--unlike", options->unlike, "The same, away from it");
  many("--in", options->in,
       "Where the query before it is compared: a property, heads, or embedding");
  AddSpaceChoice(verb, options->space);
  verb->add_option("-k,--count", options->search.count, "Pictures to find")
      ->check(CLI::Range(Index{1}, Index{1'000'000}))
      ->capture_default_str();
  verb->add_option("--index", options->index,
                   "FAISS index that answers; made when the file is not there");
  AddModelOption(verb, options->model);
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
  verb->callback([verb, options, &common] { Run(*verb, *options, common); });
}

}  // namespace cliplens::cli
