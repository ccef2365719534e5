// The pictures that two stores have in common.
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

// Every n-th, so that at most `most` are left.
std::vector<Index> EveryNth(const std::vector<Index>& all, Index most);

}  // namespace cliplens
