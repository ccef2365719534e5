// The questions that labelling asks about pictures, with the model's own zero-shot answers: which
// text of a property, of half of its texts, or of its texts turned at random fits best.
//
//   const PropertyTable table = PropertiesOf(pool);
//   const AskedPictures asked = AskAll(store, table, texts, {});
//   Print(asked.properties[0].answers.group_of[12]);   // the text that fits picture 12 best
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cliplens/analysis/group_share.h"
#include "cliplens/analysis/head_labels.h"
#include "cliplens/analysis/label_confidence.h"
#include "cliplens/base/array.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

inline constexpr Index kLabelSlices = 8;  // of the pictures, by a hash of their paths

// The answer to a question is the text with the largest product.
struct Question {
  std::vector<Index> rows;  // of the matrix of all texts
  Grouping answers = {};
  bool with_peak = true;  // whether the peak is wanted
  // Mean over the pictures of the largest score, in standard deviations of each text's scores.
  double peak = 0;
};

// The pictures with their answers, the same for all heads.
struct AskedPictures {
  std::vector<Index> index;                        // [B]: in the store
  std::vector<std::int32_t> slice;                 // [B]
  std::vector<std::vector<bool>> halves;           // of the slices [draws][kLabelSlices]
  std::vector<Question> properties;                // of each property
  std::vector<std::vector<Question>> text_halves;  // [draws][properties]
  std::vector<std::vector<Question>> turned;       // [draws][properties]: TurnedTexts
  std::vector<TextEvidence> evidence;              // of each property
  // Over the better half of the properties: the mean logarithm of the alignment, the mean peak.
  double table_alignment = 0, table_peak = 0;
  std::vector<Matrix> centred;  // of each property: its texts [m, E] about their mean, of length 1
};

// Arguments as LabelHeads takes them.
AskedPictures AskAll(const Store& store, const PropertyTable& table,
                     ArrayView<const float, 2> texts, const LabelOptions& options);

}  // namespace cliplens
