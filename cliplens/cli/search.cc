// cliplens search STORE --image F --property colour --labels labels.json
#include "cliplens/app/search.h"

#include <map>

#include "cliplens/app/models.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/search_report.h"

namespace cliplens::cli {
namespace {

struct SearchArguments {
  const CLI::App* verb = nullptr;
  std::string store;
  std::vector<std::string> image, text, like, unlike, in;
  std::vector<Index> item;
  SearchChoice search;
  std::string part;
  ModelChoice model;
};

// The queries in the order of the command line; --in belongs to the one before it.
std::vector<SearchQuery> QueriesOf(const SearchArguments& options) {
  std::vector<SearchQuery> queries;
  std::map<std::string, std::size_t> next;
  for (const CLI::Option* option : options.verb->parse_order()) {
    const std::string name = option->get_name();
    const std::size_t at = next[name]++;
    if (name == "--image") {
      queries.push_back({.kind = SearchQuery::Kind::kImage, .text = options.image.at(at)});
    } else if (name == "--text") {
      queries.push_back({.kind = SearchQuery::Kind::kText, .text = options.text.at(at)});
    } else if (name == "--item") {
      queries.push_back({.kind = SearchQuery::Kind::kItem, .item = options.item.at(at)});
    } else if (name == "--like") {
      queries.push_back(ParseQuery(options.like.at(at)));
    } else if (name == "--unlike") {
      queries.push_back(ParseQuery(options.unlike.at(at)));
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

void Run(SearchArguments& options, const Common& common) {
  options.search.queries = QueriesOf(options);
  options.search.space_is_chosen = SpaceIsChosen(*options.verb);
  if (!options.part.empty()) options.search.part = ParseStorePart(options.part);
  const Store store = Store::Open(options.store);
  const SearchReport report =
      FindPictures(store, LazyModel(store, options.model), options.search, WorkOf(common));
  if (common.json) return PrintJson(SearchJson(report));
  Print(SearchTable(report));
}

}  // namespace

void AddSearch(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<SearchArguments>(
      app, common, "search", "The pictures of a store that are most alike in some heads",
      "cliplens search store --image duck.png --property colour --labels labels.json\n"
      "  cliplens search store --like 12 --in colour --unlike 40 --in place --labels "
      "labels.json");
  options->verb = verb;
  AddStoreArgument(verb, options->store);
  // One value each, as often as wanted; their order is kept.
  const auto many = [verb = verb](const char* name, auto& values, const char* help) {
    verb->add_option(name, values, help)->allow_extra_args(false);
  };
  many("--image", options->image, "Pictures like this file");
  many("--item", options->item, "Pictures like this item of the store (by number, from 0)");
  many("--text", options->text, "Pictures of this text");
  many("--like", options->like, "As --image, --item or --text: FILE, N or text:WORDS; may repeat");
  many("--unlike", options->unlike, "The same, away from it");
  many("--in", options->in,
       "Where the query before it is compared: a property, heads, or embedding");
  AddSpaceChoice(verb, options->search.space);
  AddNumber(verb, "-k,--count", options->search.count, 1, 1'000'000, "Pictures to find");
  verb->add_option("--index", options->search.index,
                   "FAISS index that answers; made when the file is not there");
  verb->add_option(
      "--shard", options->part,
      "Search part i of n of the shards only (i/n, from 0/n); the best of all parts are "
      "the best of the store");
  AddModelOption(verb, options->model);
  verb->add_flag("--truncate", options->search.truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
