#include "cliplens/dataset/labels.h"

#include "cliplens/base/error.h"
#include "cliplens/io/normal_form.h"
#include "cliplens/io/printable.h"

namespace cliplens {

std::optional<std::string> LabelOf(const Item& item, const std::string& attribute) {
  if (attribute.empty()) return item.label;
  const auto found = item.attributes.find(attribute);
  if (found == item.attributes.end() || found->is_null()) return std::nullopt;
  return found->is_string() ? found->get<std::string>() : DumpJson(*found);
}

ClassLabels::ClassLabels(const ClassFile& classes) {
  for (std::size_t c = 0; c < classes.labels.size(); ++c) {
    index_of_.emplace(classes.labels[c], static_cast<Index>(c));
  }
  // A label that is written otherwise, by composed or by combining characters, is the same text.
  for (std::size_t c = 0; c < classes.labels.size(); ++c) {
    index_of_.emplace(NormalizedText(classes.labels[c]), static_cast<Index>(c));
  }
}

Index ClassLabels::IndexOf(const std::string& label) const {
  auto found = index_of_.find(label);
  if (found == index_of_.end()) found = index_of_.find(NormalizedText(label));
  return found == index_of_.end() ? -1 : found->second;
}

MatchedLabels MatchLabels(std::span<const Item> items, const ClassFile& classes,
                          const std::string& attribute, const std::string& place) {
  const ClassLabels labels(classes);
  MatchedLabels matched;
  std::string example;
  for (const Item& item : items) {
    const std::optional<std::string> label = LabelOf(item, attribute);
    const Index index = label ? labels.IndexOf(*label) : -1;
    matched.classes.push_back(index);
    if (index >= 0) {
      ++matched.labelled;
    } else if (label) {
      if (matched.foreign++ == 0) example = *label;
    }
  }
  if (matched.labelled > 0) return matched;
  if (matched.foreign > 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no picture's label is a class of {}: the first label is '{}', the first class "
                "stands for '{}'; write the label behind a tab after the class's name",
                place, classes.name, Printable(example, 80), Printable(classes.labels.at(0), 80));
  }
  if (!attribute.empty()) {
    ThrowNoAttribute(place, attribute);
  }
  throw Error(ErrorCode::kNotFound,
              "{}: no picture has a label; labels are the names of folders, the column 'label' of "
              "tables or the .json and .cls members of shards, and --label names an attribute that "
              "holds them",
              place);
}

void ThrowNoAttribute(const std::string& place, const std::string& attribute) {
  throw Error(ErrorCode::kNotFound,
              "{}: no picture has the attribute '{}' that --label names; attributes come from "
              "the columns of tables and the .json members of shards",
              place, Printable(attribute, 80));
}

AttributeGroups GroupByAttribute(std::span<const Item> items, const std::string& attribute,
                                 Index most, const std::string& place) {
  std::map<std::string, Index> number;
  std::vector<std::optional<std::string>> values;
  values.reserve(items.size());
  AttributeGroups groups;
  for (const Item& item : items) {
    values.push_back(LabelOf(item, attribute));
    if (values.back()) values.back() = NormalizedText(*values.back());
    if (!values.back()) {
      ++groups.without;
      continue;
    }
    number.emplace(*values.back(), 0);
    if (static_cast<Index>(number.size()) > most) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: the attribute '{}' has more than {} values; groups need one with few", place,
                  Printable(attribute, 80), most);
    }
  }
  if (number.empty()) {
    std::string known;
    if (!items.empty()) {
      for (const auto& [name, value] : items.front().attributes.items()) {
        known += (known.empty() ? "" : ", ") + name;
      }
    }
    throw Error(ErrorCode::kNotFound, "{}: no picture has the attribute '{}'; the first has {}",
                place, Printable(attribute, 80), known.empty() ? "none" : Printable(known, 160));
  }
  for (auto& [value, index] : number) {
    index = static_cast<Index>(groups.values.size());
    groups.values.push_back(value);
  }
  for (const std::optional<std::string>& value : values) {
    groups.value_of.push_back(value ? number.at(*value) : -1);
  }
  return groups;
}

}  // namespace cliplens
