// Convolutions in front of a tower, for models whose tokens are not patches times a matrix
// (ModelConfig::stem). What they make of a picture is part of INPUT.
//
//   const ConvStem stem(model.config(), model.tensors());
//   stem.Run(pixels, rows, workspace);   // [3, S, S] to [g², D], without positions
//
// MobileCLIP-B (arXiv 2311.17049) has three convolutions of patches, with GELU between them.
// ViTamin (arXiv 2404.02132, section 3.2) has a convolution, LayerNorm and GELU, a convolution, two
// stages of inverted bottlenecks, a LayerNorm and a last convolution. A bottleneck is
//     x' = shortcut(x) + W_out · GELU(K * GELU(W_in · LN(x)))
// with a convolution K of each channel by itself. The first one of a stage halves the sides: its K
// has a stride, and its shortcut is a mean of 3 x 3 places, times a matrix where channels grow.
//
// Channels of a place stand side by side, so that a convolution is a product of its matrix with
// rows of the places that it covers. Those rows and the wide inner layer of a bottleneck are made
// for a band of the picture at a time: memory beside two maps of the picture is bounded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/tower.h"

namespace cliplens {

// Immutable and shared by all threads. Refers to the tensors. fp32 in any precision.
class ConvStem {
 public:
  // Of the image tower; its stem is not StemKind::kPatches.
  ConvStem(const ModelConfig& config, const TensorMap& tensors);

  // picture [3, S, S]; rows [g², D]. Overwrites the workspace's normed, qkv, attended, plain, query
  // and patches.
  void Run(const Array<float, 3>& picture, float* rows, Workspace& workspace) const;

 private:
  // A convolution of square kernels; its matrix [out, kernel² · in] has a place's channels side by
  // side.
  struct Convolution {
    nn::Weights weights;
    Index kernel = 1, stride = 1, padding = 0, in = 0;
    nn::Epilogue epilogue = nn::Epilogue::kNone;

    Index SideOf(Index side) const { return (side + 2 * padding - kernel) / stride + 1; }
  };
  struct Norm {
    const float *gain, *bias;
    Index width;
  };
  struct Bottleneck {
    Norm norm;
    Convolution in, out;
    std::vector<float> deep;  // [3², M]
    const float* deep_bias;
    Index stride = 1;
    std::optional<Convolution> shortcut;
  };
  class Pass;

  // By what their tensors' names begin with, behind "vision.stem.".
  static Norm MakeNorm(const TensorMap& tensors, const std::string& name);
  static Convolution MakeConvolution(const TensorMap& tensors, const std::string& name,
                                     Index stride, Index padding,
                                     nn::Epilogue epilogue = nn::Epilogue::kNone);
  static Bottleneck MakeBottleneck(const TensorMap& tensors, const std::string& name, Index stride);

  StemKind kind_;
  float epsilon_;
  std::vector<Convolution> convolutions_;
  std::vector<Norm> norms_;  // behind the first convolution, in front of the last
  std::vector<Bottleneck> bottlenecks_;
};

// Folds the BatchNorms behind convolutions into these, as they are outside of training, if the
// stem has any. Throws Error(kCorruptData), which names `file`, for a variance that is negative or
// a result that is not finite.
void FoldBatchNorms(TensorMap& tensors, const std::string& file);

}  // namespace cliplens
