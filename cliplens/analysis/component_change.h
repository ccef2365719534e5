// How much what the components write changed from one model to another of the same shape, such as
// before and after fine-tuning: each component beside the one in the same place.
//
//   const Store other = Store::Open("after/");
//   const StoreChange change = CompareComponents(store, other, {});
//   for (const ComponentChange& c : change.components) {
//     if (c.similarity) Print(NameOf(c.id), c.similarity->value, c.similarity->low);
//   }
//
// Two figures of a component, both on the pictures that the stores have in common:
// - the share of the embedding's variance, Σ ⟨c − mean c, e − mean e⟩ / Σ |e − mean e|²;
// - of heads: debiased linear CKA of the contributions to the n pictures (cka.h).
// Bounds are by the jackknife over pictures. docs/compare.md has the formulas.
#pragma once

#include <optional>
#include <vector>

#include "cliplens/analysis/common_pictures.h"
#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct ChangeOptions {
  Index most_images = 2000;  // if there are more common pictures, every n-th by path is used
  int threads = 0;
  ProgressSink progress = {};  // components
};

struct ComponentChange {
  ComponentId id;
  // Of the variance of each model's embedding, and the second minus the first. Nothing for fewer
  // than 3 pictures, or where pictures without any variance are left when a block is left out.
  std::optional<Estimate> share_a, share_b, share_change;
  // Debiased CKA of a head in both models, at most 1. Nothing for INPUT and MLPs, for fewer than 5
  // pictures, for a head without variance in either model, and from statistics.
  std::optional<Estimate> similarity;
};

struct StoreChange {
  Index images_a = 0, images_b = 0;  // of the stores
  Index common = 0;                  // pictures of both
  Index images = 0;                  // of these, the number that the figures are of
  Index blocks = 0;                  // of the jackknife: as many as pictures, at most 100
  // The stores' statistics were compared, not the pictures' factors: there is no CKA, and the
  // blocks are the statistics' slices.
  bool from_statistics = false;
  std::vector<ComponentChange> components;  // by number (Components)
  std::optional<Estimate> similarity;       // of the embeddings
};

// Throws Error(kInvalidArgument) that names both stores and their shapes where layers or heads
// differ.
void CheckSameShape(const Store& a, const Store& b);

// Where either store keeps statistics only, the statistics of both are compared, if both are of the
// same pictures. The same for any number of threads; a store and itself have CKA 1 and share_change
// 0, and bounds that say so. Throws as CheckSameShape, and Error(kInvalidArgument) that names both
// stores where they have no picture in common, or where statistics are of other pictures.
StoreChange CompareComponents(const Store& a, const Store& b, const ChangeOptions& options);
// The same where the pictures in common are known; those of stores with statistics only are not.
StoreChange CompareComponents(const Store& a, const Store& b, const CommonPictures& common,
                              const ChangeOptions& options);

}  // namespace cliplens
