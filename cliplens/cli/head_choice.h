// Heads that a verb is asked to work with: by name, or by the property that they are labelled with.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cliplens/base/component.h"
#include "cliplens/report/label_file.h"

namespace cliplens::cli {

struct HeadChoice {
  std::string heads = "all";
  std::string property;
  std::string labels;  // file that `cliplens label --out` wrote

  // As people read it: "heads all", "property colour (labels.json)".
  std::string Text() const;
};

// Adds --heads, --property and --labels.
void AddHeadChoice(CLI::App* verb, HeadChoice& choice);

// The heads of a model with this fingerprint and `layers` x `heads`, sorted. Throws as ParseHeads,
// ReadLabelFile and HeadsLabelled do, and Error(kInvalidArgument) for a property without --labels.
std::vector<HeadId> ChooseHeads(const HeadChoice& choice, const std::string& fingerprint,
                                int layers, int heads);

// The file of `labels`. Throws as ReadLabelFile, and as above where none is named.
LabelFile LabelsOf(const HeadChoice& choice, const std::string& fingerprint, int layers, int heads);

}  // namespace cliplens::cli
