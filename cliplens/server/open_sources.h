// What the explorer shows, opened by the names that people give.
//
//   Explorer explorer(OpenSources({.sources = {"store/", "pictureworld"}}), {.threads = 0});
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/models.h"
#include "cliplens/app/texts.h"
#include "cliplens/server/source.h"

namespace cliplens::server {

struct SourcesChoice {
  std::vector<std::string> sources;      // stores, also of neurons, and models
  std::string texts = {};                // pool that heads are described with; empty: general
  std::string properties = {};           // property table; empty: the shipped one
  std::vector<std::string> labels = {};  // files that `cliplens label --out` wrote, one a model
  ClassChoice classes = {};              // with files: of every source
  std::string images = {};               // the stores' pictures, where they have moved
  ModelChoice model = {};  // of stores whose own has moved; architecture and precision of all
};
// Models are loaded at their first use; those of stores are the stores' own or `model`. Throws as
// Store::Open, ReadTextPool, ReadClasses and LabelsFromJson, and Error(kInvalidArgument) for labels
// of other models than those of the stores. A store of neurons is shown with the sources of its
// model; of two for one model the second is an Error(kInvalidArgument).
std::vector<SourceOptions> OpenSources(const SourcesChoice& choice,
                                       const OnBlankLines& on_blank = {});

}  // namespace cliplens::server
