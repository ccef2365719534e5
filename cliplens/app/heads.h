// Heads that people choose: by name, or by the property that they are labelled with.
//
//   for (const HeadId id : ChooseHeads({.heads = "last-4"}, HeadsIn(store))) Print(HeadName(id));
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/app/label_file.h"
#include "cliplens/base/component.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"

namespace cliplens {

ModelHeads HeadsIn(const Store& store);
ModelHeads HeadsIn(const ClipModel& model);  // of the image tower

struct HeadChoice {
  std::string heads = "all";
  std::string property = {};  // in place of `heads`: the heads that `labels` gives this property
  std::string labels = {};    // file that `cliplens label --out` wrote

  // As people read it: "heads all", "property colour (labels.json)".
  std::string Text() const;
};

// The heads that are chosen, sorted. Throws as ParseHeads, ReadLabelsOf and HeadsLabelled.
std::vector<HeadId> ChooseHeads(const HeadChoice& choice, const ModelHeads& all);

// The file of `labels`. Throws as ReadLabelFile, and Error(kInvalidArgument) where a property was
// named without one.
LabelFile ReadLabelsOf(const HeadChoice& choice, const ModelHeads& all);

// The labels of the heads that have one.
std::map<HeadId, std::string> NamesOfHeads(const LabelFile& labels);
// The same of a file; nothing where `path` is empty. Throws as ReadLabelFile.
std::map<HeadId, std::string> ReadNamesOfHeads(const std::string& path, const ModelHeads& all);

}  // namespace cliplens
