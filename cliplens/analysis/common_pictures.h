// The pictures that two stores have in common, and whether their heads are of one level.
//
//   const Store other = Store::Open("after/");
//   const CommonPictures common = CommonPicturesOf(store, other);
//   Print(common.size(), common.paths.front(), common.a.front(), common.b.front());
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Pictures are the same if their paths in the stores are.
struct CommonPictures {
  std::vector<std::string> paths;  // sorted
  std::vector<Index> a, b;         // their numbers in both stores
  Index size() const { return std::ssize(paths); }
};
CommonPictures CommonPicturesOf(const Store& a, const Store& b);
// Throws Error(kInvalidArgument) where one has heads of the blocks and the other those of the pool.
void CheckSameLevel(const Store& a, const Store& b);

// Every n-th, so that at most `most` are left.
std::vector<Index> EveryNth(const std::vector<Index>& all, Index most);

// Places in `common` of every n-th picture by path, so that at most `most` are left, in the order
// of a hash of their paths: successive ones are a random sample.
std::vector<Index> InOrderOfHash(const CommonPictures& common, Index most);
// The numbers at these places.
std::vector<Index> NumbersAt(const std::vector<Index>& numbers, const std::vector<Index>& places);

}  // namespace cliplens
