#include "cliplens/app/calibration.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/app/shipped.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

constexpr const char* kTable = "world/texts/properties.txt";

struct Range {
  Index low, high;
  bool Has(Index n) const { return low <= n && n <= high; }
};
// Of the models, sets of pictures and tables in bench/truth/models.py and collect.py.
constexpr Range kLayers{3, 8}, kHeadWidth{16, 64}, kEmbedWidth{64, 128}, kImageSize{80, 80};
constexpr Range kProperties{2, 25};
constexpr Index kFewestImages = 8;

// The pixels of a side; 0 where the manifest does not tell.
Index ImageSize(const Json& config) {
  if (!config.contains("vision") || !config["vision"].contains("image_size")) return 0;
  const Json& size = config["vision"]["image_size"];
  return size.is_number_integer() ? size.get<Index>() : 0;
}

std::string RangeText(const Range& range) {
  return range.low == range.high ? fmt::format("{}", range.low)
                                 : fmt::format("{} to {}", range.low, range.high);
}

std::map<std::string, std::set<std::string>> TextsByProperty(const TextPool& pool) {
  std::map<std::string, std::set<std::string>> texts;
  for (std::size_t i = 0; i < pool.texts.size(); ++i) {
    texts[pool.properties[i].value_or("")].insert(pool.texts[i]);
  }
  return texts;
}

void AddModel(const StoreInfo& store, const Basis& basis, std::vector<std::string>& why) {
  std::vector<std::string> unlike;
  const auto check = [&](const char* what, Index n, const Range& range) {
    if (!range.Has(n)) unlike.push_back(fmt::format("{} {}, not {}", what, n, RangeText(range)));
  };
  check("layers:", basis.layers(), kLayers);
  if (store.pools_class_token()) {
    check("width of a head:", basis.head_width(), kHeadWidth);
  } else {
    unlike.emplace_back("it pools the rows of all tokens");
  }
  check("width of the embedding:", basis.embed_width(), kEmbedWidth);
  check("pixels of a side:", ImageSize(store.model_config), kImageSize);
  if (!unlike.empty()) {
    why.push_back(fmt::format("the model is unlike those that it was fitted on ({})",
                              fmt::join(unlike, ", ")));
  }
}

void AddTable(const TextPool& table, std::vector<std::string>& why) {
  const auto mine = TextsByProperty(table);
  if (!kProperties.Has(std::ssize(mine))) {
    why.push_back(fmt::format("the table has {} properties; it was fitted on {}", mine.size(),
                              RangeText(kProperties)));
  }
  const std::filesystem::path path = SharePath(kTable);
  if (!path.empty()) {
    const auto known = TextsByProperty(ReadTextPool(path));
    const bool shares = std::ranges::any_of(known, [&](const auto& property) {
      const auto found = mine.find(property.first);
      return found != mine.end() && found->second == property.second;
    });
    if (shares) return;
  }
  why.push_back(
      fmt::format("the table is about other things than the one that it was fitted on: "
                  "it has no property of {}",
                  kTable));
}

}  // namespace

std::vector<std::string> WhyUncalibrated(const StoreInfo& store, const Basis& basis, Index images,
                                         const TextPool& table) {
  std::vector<std::string> why;
  AddModel(store, basis, why);
  if (images < kFewestImages) {
    why.push_back(
        fmt::format("{} picture{} of at least {}", images, images == 1 ? "" : "s", kFewestImages));
  }
  AddTable(table, why);
  return why;
}

}  // namespace cliplens
