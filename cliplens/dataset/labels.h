// Labels of pictures as class numbers.
//
//   const ClassFile classes = ReadClassFile("objects.txt");
//   const MatchedLabels found = MatchLabels(store.ReadItems(), classes, "", "store/");
//   Print(found.classes[12], found.foreign);   // the class of picture 12; labels that are no class
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

// The item's label as text, or its attribute `attribute` if that name is not empty. Numbers are
// written as in JSON. Nothing if the item has none.
std::optional<std::string> LabelOf(const Item& item, const std::string& attribute);

class ClassLabels {
 public:
  explicit ClassLabels(const ClassFile& classes);
  // The class that a label stands for, or -1. Both count as equal in any normal form of Unicode.
  Index IndexOf(const std::string& label) const;

 private:
  std::map<std::string, Index> index_of_;
};

struct MatchedLabels {
  std::vector<Index> classes;  // one for each item; -1: no label, or one that is no class
  Index labelled = 0;          // items whose label is a class
  Index foreign = 0;           // items whose label is no class
};
// Throws Error(kNotFound) when no item has a label (or the attribute), and Error(kInvalidArgument)
// when no label is a class; both name `place` and what to do.
MatchedLabels MatchLabels(std::span<const Item> items, const ClassFile& classes,
                          const std::string& attribute, const std::string& place);

// Error(kNotFound): no picture of `place` has the attribute that was to give the labels.
[[noreturn]] void ThrowNoAttribute(const std::string& place, const std::string& attribute);

// Pictures by the value of an attribute.
struct AttributeGroups {
  std::vector<std::string> values;  // sorted
  std::vector<Index> value_of;      // one for each item; -1: has none
  Index without = 0;                // items that have none
};
// An empty `attribute` is the label. Throws Error(kNotFound) when no item has it, and
// Error(kInvalidArgument) when it has more than `most` values; both name `place` and what to do.
AttributeGroups GroupByAttribute(std::span<const Item> items, const std::string& attribute,
                                 Index most, const std::string& place);

}  // namespace cliplens
