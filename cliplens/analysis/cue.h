// Does a model lean on a cue, and which heads carry it?
//
//   const std::vector<Index> group_of_text = {0, 0, 1, 1};         // two texts a group
//   const Grouping cue = AnswersTo(store, texts, group_of_text, 2);   // the model's own answers
//   const CueResult r = FindCue(store, classifier, cue, {}, {});
//   Print(r.lean.value, r.lean_edited.value);             // before and after the edit
//   for (const HeadId& head : r.chosen_heads()) Print(HeadName(head));
//
// Let s = W e be a picture's class logits minus their mean over the classes. The cue puts pictures
// into groups g. One half of the pictures gives the mean logits τ_g of each group, the other half
// gives the figures of components: with ρ = s − τ, the part that the cue does not explain,
// component c carries
//     cue share Σ ⟨s_c, τ⟩ / Σ ⟨s, τ⟩ and rest share Σ ⟨s_c, ρ⟩ / Σ ⟨s, ρ⟩.
// Each adds up to 1 over all components. A head is worth replacing if its cue share exceeds its
// rest share. If the groups are the model's own answers, no label of the cue or of the classes is
// needed. The method is ours; direct effects on the logits as in "Interpreting CLIP's Image
// Representation via Text-Based Decomposition" (arXiv 2310.05916).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/analysis/group_share.h"
#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// The group of each picture: that of the text with the highest score. Ties go to the lower text.
// texts: unit rows [M, E]; group_of_text [M], in [0, groups).
Grouping AnswersTo(const Store& store, ArrayView<const float, 2> texts,
                   std::span<const Index> group_of_text, Index groups);

struct CueOptions {
  Index most_images = 20'000;  // of more, every n-th is used
  int threads = 0;
  ProgressSink progress = {};  // pictures
};

// A component's shares, on the half that was held out.
struct CueShares {
  Estimate cue;
  Estimate rest;
  // cue − max(rest, 0). A negative rest share counts as 0, so that a head which works against
  // everything else is not taken to be about the cue.
  Estimate surplus;
};

struct CueHead {
  HeadId id;
  double surplus_first = 0;  // on the half by which heads are ranked
  CueShares shares;
  bool chosen = false;
};

// A class by group of the cue, on the half held out: its logit, and how often it is the answer.
struct CueClass {
  Index index = 0;
  double swing = 0;               // largest minus smallest mean logit of a group
  std::vector<Estimate> logit;    // [groups] mean of the logit; 0 for a group without pictures
  std::vector<Estimate> answers;  // [groups] share of pictures whose best class it is
};

struct CueResult {
  Index images = 0;                 // pictures that count
  Index held_out = 0;               // of these
  std::vector<Index> group_images;  // [groups], of `images`
  // The share of the logits' variance that the cue explains, on the half held out: 1 − Σ |s − τ|² /
  // Σ |s|², about means. Negative if τ predicts the logits worse than their mean does.
  Estimate lean;
  Estimate lean_edited;           // the same with the chosen heads replaced by their means
  std::vector<CueHead> heads;     // by surplus_first, largest first
  CueShares all_heads;            // of all heads together
  CueShares chosen;               // of the chosen ones together
  std::vector<CueClass> classes;  // by swing, largest first
  std::vector<HeadId> chosen_heads() const;  // sorted
};

// Ranks heads by their surplus on one half of the pictures (split by a hash of the path) and
// chooses them in this order. The choice ends at the first head whose surplus on the other half is
// not above zero with 95 % confidence.
//   classifier: unit rows [C, E]; cue: groups, −1 for pictures that have none
//   classes: [B] the pictures' classes, or empty. With them the cue is measured within each class,
//   so that what the classes explain does not count for the cue. Pictures without a class are left
//   out
// Throws Error(kInvalidArgument) where numbers differ or fewer than two groups have pictures in
// both halves, and as ReadShard does. The same to the byte for any number of threads.
CueResult FindCue(const Store& store, ArrayView<const float, 2> classifier, const Grouping& cue,
                  std::span<const Index> classes, const CueOptions& options);

}  // namespace cliplens
