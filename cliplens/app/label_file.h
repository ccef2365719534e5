// The JSON that `cliplens label` writes, read again to choose heads by property.
//
//   const LabelFile labels = ReadLabelFile("labels.json", HeadsIn(model));
//   for (const HeadId id : HeadsLabelled(labels, "colour")) Print(HeadName(id));
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cliplens/analysis/search.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/io/json.h"

namespace cliplens {

// Which heads there are, and of which model.
struct ModelHeads {
  std::string fingerprint;
  int layers = 0;
  int heads = 0;  // of a layer
  bool pool_mlp = false;
  Level level = Level::kBlocks;

  Components components() const { return {layers, heads, pool_mlp, level}; }
  std::vector<HeadId> Parse(const std::string& names) const {
    return ParseHeads(names, components());
  }
  // The head of this name in the file `place`. Throws Error(kCorruptData) for other names.
  HeadId HeadNamed(const std::string& name, const std::string& place) const;
};

struct LabelledHead {
  HeadId id;
  std::string label;   // empty: none
  std::string second;  // empty: none
  double confidence = 0;
};

struct HeadShare {
  HeadId id;
  double share = 0;  // of the head's variance, that a property explains
  friend bool operator==(const HeadShare&, const HeadShare&) = default;
};

struct LabelFile {
  std::string place;  // of the file, for messages
  std::string model_name;
  std::string fingerprint;  // of the model whose heads these are
  std::vector<std::string> properties;
  std::vector<std::vector<std::string>> texts;  // of each property
  // Of each property the heads of which it explains more than chance does, in order of the heads.
  std::vector<std::vector<HeadShare>> index;
  std::vector<LabelledHead> heads;
  std::vector<std::string> uncalibrated;  // as LabelReport has it
};

// Throws Error(kNotFound) and Error(kCorruptData) as ReadJsonFile does, and for a file that is no
// "cliplens.label/3", names a head that the model lacks, names one twice or has a share that is not
// in (0, 1]; Error(kInvalidArgument) when its model is another.
LabelFile ReadLabelFile(const std::filesystem::path& path, const ModelHeads& all);

// The same of a file's content; `place` names it in messages. The model is not checked.
LabelFile ParseLabels(const Json& json, const std::string& place, const ModelHeads& all);

// Heads whose label or second label is `property`, in order. Throws Error(kInvalidArgument) that
// lists the properties if the table lacks this one, and Error(kNotFound) if there is no such head.
std::vector<HeadId> HeadsLabelled(const LabelFile& labels, const std::string& property);

// Heads of which `property` explains more than chance does, whatever their label, in order. Throws
// as HeadsLabelled.
std::vector<HeadShare> HeadsTelling(const LabelFile& labels, const std::string& property);

// The texts of all properties, one property after the other.
std::vector<std::string> TextsOfProperties(const LabelFile& labels);

// The space in which pictures are compared by a property: the directions in which its texts differ,
// in these heads. A head's weight is the root of its share, since a share is a ratio of squares.
//   rows: [M, E] of the property's texts, unit
SearchSpace SpaceOfHeads(std::span<const HeadShare> heads, ArrayView<const float, 2> rows);

// The same of a property of the file.
//   rows: [M, E] of TextsOfProperties, unit
// Throws as HeadsTelling.
SearchSpace SpaceOfProperty(const LabelFile& labels, const std::string& property,
                            ArrayView<const float, 2> rows);

}  // namespace cliplens
