// Labels of pictures as class numbers.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/text_pool.h"

namespace cliplens {

// The item's label as text, or, where `attribute` is named, that attribute: numbers as JSON writes
// them. Nothing where the item has none.
std::optional<std::string> LabelOf(const Item& item, const std::string& attribute);

class ClassLabels {
 public:
  explicit ClassLabels(const ClassFile& classes);
  // The class that a label stands for, or -1.
  Index IndexOf(const std::string& label) const;

 private:
  std::map<std::string, Index> index_of_;
};

struct MatchedLabels {
  std::vector<Index> classes;  // one for each item; -1: no label, or one that is no class
  Index labelled = 0;          // whose label is a class
  Index foreign = 0;           // whose label is none
};
// Throws Error(kNotFound) when no item has a label (or the attribute), and Error(kInvalidArgument)
// when no label is a class; both name `place` and what to do.
MatchedLabels MatchLabels(std::span<const Item> items, const ClassFile& classes,
                          const std::string& attribute, const std::string& place);

}  // namespace cliplens
