// Model families as tables: a row says what we call a tensor, what the file calls it, and its
// shape.
//
//   for (const TensorRow& row : OpenClipFamily().rows) {
//     Print(row.name, row.in_file, ShapeOf(row, model.config()));
//   }
//
// `{}` in a name stands for the layer. Another image or text tower takes one more table, and the
// families that have it one more row in TensorFamilies.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/config.h"

namespace cliplens {

// Which models have a tensor.
enum class TensorUse {
  kAlways,
  kLnPre,
  kLayerScale,
  kLogitScale,
  kLogitBias,
  kPatches,
  kPatchBias,
  // ModelConfig::stem.
  kConvolutions,
  kMbConv,
  kPositions,
  kClassToken,
  kRegisters,
  kAttentionPool,
  // CoCa's pool; with keys as wide as its queries and without.
  kNoCocaPool,
  kCocaPool,
  kCocaPoolWhole,
  kCocaPoolApart,
  // QkvLayout, TowerConfig::sub_norm and gated_mlp.
  kWholeQkv,
  kWholeQkvWithoutKeyBias,
  kWholeQkvWithoutBias,
  kApartQkv,
  kSubNorm,
  kPlainMlp,
  kSwiGlu,
  kGeGlu,
  kNotGeGlu,
  // The final LayerNorm, of rows or of their mean.
  kRowNorm,
  kMeanNorm,
  // The projections: of pictures, as timm's classifier or apart; of texts, with a bias or without.
  kProjection,
  kProjectionBias,
  kClassifier,
  kTextProjection,
  kTextProjectionBias,
  kTextClass,
};

struct TensorRow {
  std::string name;  // ours: "vision.block.{}.attn.in.weight"
  // In the file: "visual.transformer.resblocks.{}.attn.in_proj_weight". Names with '|' between them
  // are several tensors, joined along their first axis; "2:" in front of one says that it has two
  // shares of it, and the others one each. "0:" is a share of zeros.
  std::string in_file;
  // Axes in letters, with the row's own tower: "3D,D". D: width, F: MLP width, G: MLP width of the
  // pool, P: patch side, C: width of the stem, N: image tokens, S: those with a position, T: places
  // of a text, V: vocabulary size, E: embedding width, W: width of the pool, Q: its queries, R:
  // registers. Empty: a single number. This is our shape; a transposed tensor has the other in the
  // file.
  std::string shape;
  TensorUse use = TensorUse::kAlways;
  bool transposed = false;
};

struct TensorFamily {
  const char* name;
  // The tensor that identifies the family, found under any prefix ("state_dict.module.").
  std::string_view anchor;
  // The family's files have this one too; empty: any.
  std::string_view text_anchor;
  std::vector<TensorRow> rows;  // of both towers
  // The last parts of names of tensors that hold no weights.
  std::span<const std::string_view> without_weights;
  // What names of the text tower begin with where it is one that is not evaluated.
  std::string_view other_text;
};

std::span<const TensorFamily> TensorFamilies();
const TensorFamily& OpenClipFamily();  // open_clip's CLIP class; OpenAI's has the same names
const TensorFamily& HuggingFaceFamily();

// A part of a tensor's name that marks a model which this version does not evaluate.
struct RefusedTensor {
  std::string_view part;
  const char* reason;
  bool text = false;  // of a text tower
};
std::span<const RefusedTensor> RefusedTensors();

// Whether a model of this configuration has the row's tensor.
bool Uses(const ModelConfig& config, const TensorRow& row);
// The number of layers that have the row's tensor; 1 for a tensor outside of the layers.
Index LayersOf(const TensorRow& row, const ModelConfig& config);
// Whether its name has a layer.
bool IsInLayers(const TensorRow& row);

// `pattern` with the layer in place of `{}`.
std::string WithLayer(std::string_view pattern, Index layer);
// Our shape.
std::vector<Index> ShapeOf(const TensorRow& row, const ModelConfig& config);

// The tensors in the file that make up a row's, one after the other.
struct TensorInFile {
  std::string name;  // empty: zeros
  std::vector<Index> shape;
};
std::vector<TensorInFile> TensorsInFile(const TensorRow& row, Index layer,
                                        const ModelConfig& config);

}  // namespace cliplens
