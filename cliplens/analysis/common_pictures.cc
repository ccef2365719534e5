#include "cliplens/analysis/common_pictures.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/statistics.h"

namespace cliplens {
namespace {

constexpr Index kHashes = Index{1} << 40;

}  // namespace

CommonPictures CommonPicturesOf(const Store& a, const Store& b) {
  const auto numbers = [](const Store& store) {
    std::map<std::string, Index> by_path;
    Index number = 0;
    for (Item& item : store.ReadItems()) by_path.emplace(std::move(item.path), number++);
    return by_path;
  };
  const std::map<std::string, Index> in_a = numbers(a);
  const std::map<std::string, Index> in_b = numbers(b);
  CommonPictures common;
  for (const auto& [path, number] : in_a) {
    const auto other = in_b.find(path);
    if (other == in_b.end()) continue;
    common.paths.push_back(path);
    common.a.push_back(number);
    common.b.push_back(other->second);
  }
  return common;
}

void CheckSameLevel(const Store& a, const Store& b) {
  if (a.info().level == b.info().level) return;
  throw Error(ErrorCode::kInvalidArgument,
              "{} is at the level of the {}, {} at that of the {}; make both with the same "
              "'cliplens decompose --level'",
              a.directory().string(), NameOf(a.info().level), b.directory().string(),
              NameOf(b.info().level));
}

std::vector<Index> EveryNth(const std::vector<Index>& all, Index most) {
  const Index step = StrideFor(std::ssize(all), most);
  std::vector<Index> some;
  for (Index i = 0; i < std::ssize(all); i += step) some.push_back(At(all, i));
  return some;
}

std::vector<Index> InOrderOfHash(const CommonPictures& common, Index most) {
  std::vector<Index> all(ToSize(common.size()));
  std::iota(all.begin(), all.end(), Index{0});
  std::vector<Index> some = EveryNth(all, most);
  std::vector<std::pair<Index, Index>> keyed;
  keyed.reserve(some.size());
  for (const Index i : some) keyed.emplace_back(SliceOf(At(common.paths, i), kHashes), i);
  std::ranges::sort(keyed);
  std::ranges::transform(keyed, some.begin(), [](const auto& pair) { return pair.second; });
  return some;
}

std::vector<Index> NumbersAt(const std::vector<Index>& numbers, const std::vector<Index>& places) {
  std::vector<Index> some;
  some.reserve(places.size());
  for (const Index i : places) some.push_back(At(numbers, i));
  return some;
}

}  // namespace cliplens
