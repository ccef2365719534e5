// Edits: parts of the image encoder whose contribution is replaced by its mean, or scaled.
//
//   const Edit edit = MakeMeanEdit(store.info(), store.basis(), store.statistics(), targets);
//   WriteEdit("edit.json", edit);                           // edit_file.h
//   const ModelEdit applied(model.image_readout(), edit);   // model_edit.h: no store is needed
//   ModelEdit::Scratch scratch;
//   applied.Apply(captures, embedding, scratch);            // unit row to e_edit
//
// The embedding is a sum of contributions c ("Interpreting CLIP's Image Representation via
// Text-Based Decomposition", arXiv 2310.05916), so an edit of some of them,
//     e_edit = e − Σ_c ((1 − x_c) c − k_c),
// costs a few products of a vector: k_c = mean and x_c = 0 replaces c by its mean, k_c = 0 scales
// it. Only direct effects change (docs/design.md, "Edits"): what a head does to later layers stays.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store_info.h"

namespace cliplens {

struct EditComponent {
  ComponentId target;
  bool mean = true;             // replaced by `constant`; otherwise scaled
  double scale = 0;             // x, of a component that is scaled
  std::vector<float> constant;  // [E], of a component that is replaced
  double weight() const { return mean ? 1.0 : 1.0 - scale; }  // 1 − x
};
inline constexpr double kMaxEditScale = 1e6;  // of |x|

struct Edit {
  std::string model_name;
  std::string fingerprint;
  Index layers = 0, heads = 0, embed_width = 0;
  bool pool_mlp = false;  // Components::has_pool_mlp
  Level level = Level::kBlocks;
  std::string means;       // the store that the means are of; empty where nothing is replaced
  Index means_images = 0;  // its pictures
  std::string note;        // how the edit was chosen, for people; may be empty
  std::vector<EditComponent> components;  // sorted by target

  std::string Names() const;  // "L5.H3, L5.H4"
  Components sizes() const { return {layers, heads, pool_mlp, level}; }
  Vector Constant() const;  // Σ k [E]
  // Throws Error(kInvalidArgument) where every component is scaled by 0: nothing is left, and
  // nothing has no direction.
  void CheckLeavesSomething() const;
  // Throws Error(kInvalidArgument) unless these are the edit's own sizes.
  void CheckSizes(const Components& components, Index embedding) const;
};

// Means [E] of a store's contributions.
class ContributionMeans {
 public:
  ContributionMeans(const Basis& basis, const Statistics& statistics);
  Vector Of(const ComponentId& target) const;
  Index images() const;
  // Mean squared distance of the contribution from its mean; of a layer the sum over its heads.
  double VarianceOf(const ComponentId& target) const;

 private:
  const Basis& basis_;
  SliceStatistics total_;
};

// Replaces the targets by their means over the pictures of `store`. Throws Error(kPrecondition) if
// it has no picture.
Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const Statistics& means,
                  std::span<const ComponentId> targets);
Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const ContributionMeans& means,
                  std::span<const ComponentId> targets);
// Scales the targets by x. Throws as CheckLeavesSomething.
Edit MakeScaleEdit(const StoreInfo& store, const Basis& basis, double scale,
                   std::span<const ComponentId> targets);

// Makes an edited row unit. Throws Error(kPrecondition) where too little is left of a row that was
// unit: a length below 1e-5, which is rounding, or one that is not finite.
void NormalizeRow(std::span<float> row);

}  // namespace cliplens
