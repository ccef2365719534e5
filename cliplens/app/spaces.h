// Where pictures are compared: in the whole embedding, in heads, or along the directions in which a
// property's texts differ.
//
//   const SearchSpace colour =
//       OpenSpace({.heads = {.property = "colour", .labels = "labels.json"}}, store, model, {});
#pragma once

#include <string>

#include "cliplens/analysis/search.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/work.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

inline constexpr char kWholeEmbedding[] = "embedding";

struct SpaceChoice {
  HeadChoice heads{.heads = kWholeEmbedding, .property = {}, .labels = {}};
  std::string definition = NameOf(Definition::kScoreOfSum);
  std::string measure = NameOf(Measure::kCosine);
  bool raw = false;  // the same as the measure raw

  // As people read it: "embedding", "L5.H3", "property colour (labels.json)".
  std::string Text() const;
  // The same with other heads: a list of them, "embedding", or a property.
  SpaceChoice In(const std::string& place) const;
};

// Throws Error(kInvalidArgument) for a name of no definition or measure.
struct Likeness {
  Definition definition;
  Measure measure;
};
Likeness LikenessNamed(const std::string& definition, const std::string& measure);

// A property's space is that of SpaceOfProperty; its texts are embedded as the stage "texts".
// `model` is that of the store. Throws as ChooseHeads, HeadsTelling and CachedTexts do, and
// Error(kInvalidArgument) for a name of no definition or measure.
SearchSpace OpenSpace(const SpaceChoice& choice, const Store& store, const RowModel& model,
                      const Work& work);

}  // namespace cliplens
