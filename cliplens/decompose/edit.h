// Edits: parts of the image encoder whose contribution is replaced by its mean, or scaled.
//
//   const Edit edit = MakeMeanEdit(store.info(), store.basis(), store.statistics(), targets);
//   WriteEdit("edit.json", edit);
//   const ModelEdit applied(model, edit);                // model-side: no store is needed
//   ModelEdit::Scratch scratch;
//   applied.Apply(activations, embedding, scratch);      // unit row to e_edit
//
// The embedding is a sum of contributions c ("Interpreting CLIP's Image Representation via
// Text-Based Decomposition", arXiv 2310.05916), so an edit of some of them,
//     e_edit = e − Σ_c ((1 − x_c) c − k_c),
// costs a few products of a vector: k_c = mean and x_c = 0 replaces c by its mean, k_c = 0 scales
// it. Only direct effects change: what a head does to later layers stays (DESIGN §2.5).
#pragma once

#include <compare>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// What an edit names. A layer is all its heads together.
struct EditTarget {
  enum class Kind { kInput, kLayer, kHead, kMlp };
  int layer = 0;  // 0 for INPUT
  Kind kind = Kind::kHead;
  int head = 0;  // of a head
  friend auto operator<=>(const EditTarget&, const EditTarget&) = default;
};
std::string NameOf(const EditTarget& target);  // INPUT, L3, L3.H1, L3.MLP

// Targets named by `text`, sorted, each once: what ParseHeads reads, where whole layers stay whole,
// and INPUT, L3.MLP and mlps (all MLPs). A head of a layer that is named whole is not named twice.
// Throws as ParseHeads does.
std::vector<EditTarget> ParseEditTargets(std::string_view text, int layers, int heads);
std::vector<EditTarget> EditTargetsOf(std::span<const HeadId> heads);

struct EditComponent {
  EditTarget target;
  bool mean = true;             // replaced by `constant`; otherwise scaled
  double scale = 0;             // x, of a component that is scaled
  std::vector<float> constant;  // [E], of a component that is replaced
  double weight() const { return mean ? 1.0 : 1.0 - scale; }  // 1 − x
};

struct Edit {
  std::string model_name;
  std::string fingerprint;
  Index layers = 0, heads = 0, embed_width = 0;
  std::string means;       // the store that the means are of; empty where nothing is replaced
  Index means_images = 0;  // its pictures
  std::string note;        // how the edit was chosen, for people; may be empty
  std::vector<EditComponent> components;  // sorted by target

  std::string Names() const;  // "L5.H3, L5.H4"
};

// Means [E] of contributions of a store.
class ContributionMeans {
 public:
  ContributionMeans(const Basis& basis, const Statistics& statistics);
  Vector Of(const EditTarget& target) const;
  Index images() const;
  // Mean squared distance of the contribution from its mean; of a layer the sum over its heads.
  double VarianceOf(const EditTarget& target) const;

 private:
  const Basis& basis_;
  SliceStatistics total_;
};

// Replaces the targets by their means over the pictures of a store, `store`. Throws
// Error(kPrecondition) for means of no picture.
Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const Statistics& means,
                  std::span<const EditTarget> targets);
Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const ContributionMeans& means,
                  std::span<const EditTarget> targets);
// Scales the targets by x.
Edit MakeScaleEdit(const StoreInfo& store, const Basis& basis, double scale,
                   std::span<const EditTarget> targets);

// "cliplens.edit/1", sealed (io/sealed_json.h): the text of a file. A file that is there is
// replaced.
std::string EditText(const Edit& edit);
void WriteEdit(const std::filesystem::path& path, const Edit& edit);
// Throws Error(kCorruptData) naming the file for one that is cut, changed or contradicts itself,
// kUnsupported for another format, kExhausted above 32 MB.
Edit ReadEdit(const std::filesystem::path& path);
// The same of a file's text; `name` stands in messages.
Edit ParseEdit(std::string text, const std::string& name);
// Throws Error(kInvalidArgument) unless the edit, read from `path`, is for this model. `place`
// names what has the fingerprint.
void CheckEditIsFor(const Edit& edit, const std::string& path, const std::string& fingerprint,
                    const std::string& place);

// Makes a row unit. Throws Error(kPrecondition) for one without length.
void NormalizeRow(std::span<float> row);

// Applies an edit to a model's forward passes. Immutable and shared by all threads. Memory: nothing
// of size beside diag(γ) P [D, E].
class ModelEdit {
 public:
  // The model must outlive this. Throws Error(kInvalidArgument) where the edit's sizes are not the
  // model's.
  ModelEdit(const ClipModel& model, const Edit& edit);

  struct Scratch {
    std::vector<float> row, change;
  };
  // `embedding`, the unit row [E] of the pass with these activations, becomes e_edit, which is not
  // made unit.
  void Apply(const Activations& activations, std::span<float> embedding, Scratch& scratch) const;

 private:
  struct Part {
    EditTarget target;
    float weight = 0;
  };
  const ClipModel& model_;
  std::vector<Part> parts_;
  Vector constant_;                     // Σ k [E]
  double share_ = 0;                    // Σ of the weights' shares of μ and β
  std::vector<float> bias_;             // Σ of the weights' shares of b_O [D]
  Array<float, 2> scaled_projection_;   // diag(γ) P [D, E]
  std::vector<float> p_gain_, p_bias_;  // P^T γ, P^T β [E]
};

// Applies an edit to a store's rows. Equal to ModelEdit but for rounding.
class StoreEdit {
 public:
  // Throws Error(kInvalidArgument) where the edit's sizes are not the basis's.
  StoreEdit(const Basis& basis, const Edit& edit);

  // e_edit − e of row b of a block [E].
  Vector Change(const FactorBlock& block, Index b) const;
  // `embedding`, that of row b, becomes e_edit, made unit with `normalize`.
  void EditRow(const FactorBlock& block, Index b, bool normalize, std::span<float> embedding) const;
  // The edited contributions of row b: heads [L, H, E] and INPUT and MLPs [L+1, E] as they are
  // become x c + k; the constant of a whole layer is shared by its heads.
  void EditContributions(ArrayView<float, 3> heads, ArrayView<float, 2> mlps) const;

  // The edit in factors, for other programs: e_edit = e + Σ_i u_i^T changes_i − Σ_j w_j c_j +
  // constant, over the heads i and, of INPUT and the MLPs, the j that are edited.
  const std::vector<HeadId>& heads() const { return heads_; }
  const std::vector<Matrix>& changes() const { return changes_; }  // −(1 − x) B [K+3, E]
  const std::vector<Index>& mlps() const { return mlps_; }         // 0: INPUT, l+1: MLP l
  const std::vector<double>& mlp_weights() const { return mlp_weights_; }  // 1 − x
  const Vector& constant() const { return constant_; }

 private:
  Edit edit_;
  std::vector<HeadId> heads_;
  std::vector<Matrix> changes_;
  std::vector<Index> mlps_;
  std::vector<double> mlp_weights_;
  Vector constant_;
};

// Edited rows [images, E] of a store, unit unless `normalize` is false.
Array<float, 2> EditedRows(const Store& store, const Edit& edit, bool normalize);

// The edit as a safetensors file, for programs that hold factors: `changes` [n, K+3, E], `heads`
// [n, 2], `mlps` [m], `mlp_weights` [m], `constant` [E] (docs/edits.md).
void WriteEditTensors(const std::filesystem::path& path, const StoreEdit& edit);

}  // namespace cliplens
