// Labels of heads: the property of pictures that a head's contribution depends on most.
//
//   const PropertyTable table = PropertiesOf(pool);
//   for (const HeadLabel& head : LabelHeads(store, heads, table, texts, {})) {
//     if (head.label >= 0) Print(HeadName(head.id), At(table.names, head.label), head.confidence);
//   }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cliplens/analysis/label_confidence.h"
#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Properties and the texts that are their values: "colour" with "a red picture", "a blue picture" …
struct PropertyTable {
  std::vector<std::string> names;         // in order of appearance
  std::vector<std::vector<Index>> texts;  // of each property, indices into the pool
};
// Throws Error(kInvalidArgument) for a text without a property, a property with fewer than two
// texts, and fewer than two properties.
PropertyTable PropertiesOf(const TextPool& pool);

struct LabelOptions {
  Index most_images = 10'000;  // if there are more pictures, every n-th is used
  std::uint64_t seed = 1;      // of random texts and halves
  int threads = 0;
  ProgressSink progress;  // heads
};

// What a property explains of a head.
struct PropertyShare {
  // Share of the head's variance that lies between the groups of pictures for which the model gives
  // the same answer, corrected for the number of groups as adjusted R² is; may be negative. With
  // bounds over slices of the pictures.
  Estimate share;
  // The same beyond the head's guess: what the property explains once the means of the guess's
  // groups are taken out, as a share of the head's whole variance. For the guess itself: what it
  // explains beyond the rival.
  double beyond = 0;
  double chance = 0;  // the largest share that the same texts gave, turned at random four times
  double turned = 0;  // the mean of these four
  // What a property whose texts describe the pictures better explains too, where this decides
  // between the two; else 0.
  double shared = 0;
  // The share less what the property's answers owe to chance, and less `shared`: by it properties
  // are ranked.
  double net = 0;
};

// A value of a head's property, or a picture, that speaks for the label.
struct LabelEvidence {
  Index index = 0;  // of the text in the pool, or of the picture in the store
  double share = 0;  // texts: of the head's variance; pictures: ⟨c − mean c, mean of its group −
                     // mean c⟩, in squares of the embedding's length
};

struct HeadLabel {
  HeadId id;
  Index guess = -1;       // in PropertyTable::names: the largest net share; -1: no variance
  Index label = -1;       // the guess if its confidence is at least one half; -1: none
  Index second = -1;      // a second property that explains nearly as much; -1: none
  Index rival = -1;       // the property that explains most beyond the guess; -1: no variance
  double confidence = 0;  // that the guess is the property that explains most, see docs/labels.md
  double stability = 0;   // share of the halves of pictures and of texts that give the same guess
  double coverage = 0;    // the guess's share of the head's variance
  LabelFigures figures;   // that the confidence is computed from
  std::vector<PropertyShare> properties;  // of each property of the table
  std::vector<LabelEvidence> texts;       // for the guess, most first, at most eight
  std::vector<LabelEvidence> pictures;
};

// The model's own zero-shot answers stand in for truth. For each property, a picture belongs to the
// group of the property's text that is nearest to its embedding. The best guess for a head is the
// property whose groups explain most of its variance, less what answers without meaning explain;
// what two properties both explain counts for the one whose texts describe the pictures better. The
// guess is the label if its confidence is at least one half. docs/labels.md has the method and the
// calibration of the confidence.
//   texts: unit rows [M, E], one for each text of the pool that `table` was made from
// Throws Error(kInvalidArgument) where shapes do not fit, and as Store::ReadHead does.
// The same to the byte for any number of threads, and on every processor.
std::vector<HeadLabel> LabelHeads(const Store& store, const std::vector<HeadId>& heads,
                                  const PropertyTable& table, ArrayView<const float, 2> texts,
                                  const LabelOptions& options);

}  // namespace cliplens
