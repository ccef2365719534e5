// What heads write and read, in words, from their weights alone: no pictures and no forward pass of
// the image tower.
//
//   const WeightWords report =
//       DescribeWeights(model, {.texts = "phrases.txt", .heads = "last-4"}, {.threads = 4});
//   for (const HeadWords& head : report.heads) Print(HeadName(head.id), head.effective_rank);
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/sparse_words.h"
#include "cliplens/app/work.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/model/clip.h"

namespace cliplens {

struct WeightWordsChoice {
  std::string texts = "general";  // a pool, as TextsPath takes it
  std::string heads = "all";
  Index directions = 3;  // of each head
  CoherentOptions words = {};
  bool truncate = false;  // texts longer than the context are cut
};

// A direction has no sign of its own: `plus` has the texts of the vector, `minus` of its negative.
struct SignedWords {
  SparseWords plus, minus;
};
struct DirectionWords {
  double value = 0;    // σ_k
  double share = 0;    // σ_k² / Σ σ²
  SignedWords writes;  // what the head adds to the embedding
  SignedWords reads;   // what it adds that for, read out as if it stood behind the last block
};
struct HeadWords {
  HeadId id;
  Vector values;  // [K] all singular values
  double effective_rank = 0;
  std::vector<DirectionWords> directions;
};
struct WeightWords {
  std::string model_name, fingerprint;
  TextPool pool;
  double coherence = 0;
  std::vector<HeadWords> heads;
};

// The stages are "texts" and "heads". Throws as ReadTextPool, ParseHeads, CachedTexts, AtomsOf and
// DirectionsOfHeads.
WeightWords DescribeWeights(const ClipModel& model, const WeightWordsChoice& choice,
                            const Work& work);

}  // namespace cliplens
