// What verbs share that compare pictures: in which heads, and how.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "cliplens/analysis/search.h"
#include "cliplens/cli/head_choice.h"
#include "cliplens/cli/verb.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"

namespace cliplens::cli {

inline constexpr char kWholeEmbedding[] = "embedding";

struct SpaceChoice {
  HeadChoice heads{.heads = kWholeEmbedding, .property = {}, .labels = {}};
  std::string definition = NameOf(Definition::kScoreOfSum);
  std::string measure = NameOf(Measure::kCosine);
  bool raw = false;

  // As people read it: "embedding", "L5.H3", "property colour (labels.json)".
  std::string Text() const;
  // The same with other heads: a list of them, "embedding", or a property.
  SpaceChoice In(const std::string& place) const;
};
void AddSpaceChoice(CLI::App* verb, SpaceChoice& choice);
// Whether the command line has any of these options.
bool SpaceIsChosen(const CLI::App& verb);

// A property's is that of SpaceOfProperty; `model`, the store's, is asked for where its texts were
// not embedded before. Throws as ChooseHeads, HeadsTelling and CachedTexts do.
SearchSpace SpaceOf(const SpaceChoice& choice, const Store& store,
                    const std::function<const ClipModel&()>& model, const Common& common);

}  // namespace cliplens::cli
