// Zero-shot segmentation: heat maps of classes, made masks and held against known ones.
//
//   const SegmentationResult r =
//       EvaluateSegmentation(model, *set, classifier, ClassLabels(classes), {});
//   Print(r.all.mean_iou.value);
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916),
// section 5 and its code: of each picture the map of the class that the model answers minus the
// mean over the classes, ⟨Σ_{l,h} c_{l,h,i}, w_ĉ − w̄⟩ for each patch i; made as large as the
// model's input (bilinear, half-pixel centres); clipped below at 0, scaled to 0…1, and every pixel
// above the map's mean is object.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/analysis/token_scores.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// Where a map comes from. All but the first are controls; the rest of the protocol is the same.
enum class MapMethod {
  kDecomposition,  // contributions of the patches through the chosen heads
  kRawAttention,   // the class token's attention in the last layer, mean over heads
  kRollout,        // "Quantifying Attention Flow in Transformers" (arXiv 2005.00928): the product
                   // of (A_l + 1)/2 over the layers, A_l the mean over heads, its class row
  kPatchText,      // unit embeddings of the last layer's patch tokens · (w_ĉ − w̄)
  kBackground,     // no object anywhere
};
const char* NameOf(MapMethod method);  // "decomposition", "raw-attention", …

// What the model sees of the picture, and what of the mask it is held against.
enum class MapGeometry {
  kAligned,    // the mask is resized and cut as the model does it with pictures
  kSquash,     // picture and mask are both made square: all of them is seen, out of proportion
  kReference,  // P1's: the picture is resized and cut, the mask made square; they do not lie on
               // each other unless the picture is square
};
const char* NameOf(MapGeometry geometry);  // "aligned", "squash", "reference"

// Of a mask's pixel: 0 background, 1 object, −1 not counted.
using MaskPixels = Array<std::int8_t, 2>;  // [height, width]

// 0 is background, `ignore` not counted, every other value (of any channel) object. `name` stands
// in messages. Throws Error(kUnsupported) when `ignore` is set and the mask has other pixels than
// one byte each.
MaskPixels ReadMaskPixels(const Image& mask, std::optional<int> ignore, const std::string& name);

// The mask under each pixel of the model's patches [grid · patch, grid · patch], the nearest pixel
// as Pillow takes it; what lies beside the picture is not counted.
MaskPixels MaskOnInput(const MaskPixels& mask, const ModelConfig& config, MapGeometry geometry);

// A map clipped below at 0 and scaled to 0…1. A map that is constant, or nowhere above 0, is all 0
// and `empty` (P1's code divides 0 by 0 there).
struct ScaledMap {
  Array<double, 2> values;
  double mean = 0;  // object are the values above it
  bool empty = false;
};
ScaledMap ScaleMap(ArrayView<const double, 2> map);

// One picture's pixels. Index 0 is background, 1 object.
struct PictureSegmentation {
  Index counted = 0;
  Index right = 0;
  std::array<Index, 2> intersection = {};
  std::array<Index, 2> union_ = {};
  // Average precision as scikit-learn computes it (steps, equal scores together) of the scores
  // (1 − m, m) of all pixels in fp32 against the mask, one-hot.
  double average_precision = 0;
  bool empty = false;  // the map
};
// Throws Error(kInvalidArgument) for different shapes.
PictureSegmentation CompareWithMask(const ScaledMap& map, const MaskPixels& mask);

// Maps of classes on a model's patches.
class ClassMaps {
 public:
  // classifier: unit rows [C, E]; with one row alone nothing is subtracted. `heads` (all when
  // empty) counts for kDecomposition. Throws as TokenWeights.
  ClassMaps(const ClipModel& model, ArrayView<const float, 2> classifier, MapMethod method,
            std::vector<HeadId> heads, int threads);

  // Sets what the map needs of a pass.
  void Ask(Activations& activations) const;
  // Of each embedding [B, E] the class whose text is nearest; ties go to the lower one.
  std::vector<Index> Answers(ArrayView<const float, 2> embeddings) const;
  // [g, g] of class c.
  Array<double, 2> MapOf(const Activations& activations, Index c) const;

 private:
  const ClipModel& model_;
  Array<float, 2> classifier_;
  Array<float, 2> directions_;  // w_c − w̄
  MapMethod method_;
  std::vector<HeadId> heads_;
  std::optional<TokenWeights> weights_;  // of the directions
};

struct SegmentationOptions {
  MapMethod method = MapMethod::kDecomposition;
  MapGeometry geometry = MapGeometry::kAligned;
  std::vector<HeadId> heads = {};  // all when empty
  bool truth = false;              // maps of the picture's label instead of the model's answer
  std::string label = {};          // attribute that holds the label; empty: the picture's own
  bool keep_maps = false;
  std::optional<int> ignore = {};     // instead of the set's own
  OnError on_error = OnError::kStop;  // of pictures; a mask that cannot be used always stops
  int threads = 0;
  ProgressSink progress = {};
};

struct SegmentationFigures {
  Index pictures = 0;
  Index empty_maps = 0;
  Estimate pixel_accuracy;      // right pixels of all counted ones, over the set
  std::array<Estimate, 2> iou;  // background, object: over the set, not a mean of pictures
  Estimate mean_iou;            // of the two
  Estimate mean_ap;             // mean over pictures
};

struct SegmentationResult {
  SegmentationFigures all;
  // Pictures whose label is a class and the model's answer; nothing where no label is a class.
  std::optional<SegmentationFigures> right;
  Index labelled = 0;       // of `all`
  Index without_mask = 0;   // not in any figure
  Index without_label = 0;  // with `truth`: whose label is no class; not in any figure
  std::vector<SkippedPicture> skipped;
  Array<float, 3> maps;  // with `keep_maps` [all.pictures, g, g], as ClassMaps::MapOf
};

// Throws Error(kCorruptData) for a mask of another size than its picture, Error(kNotFound) when no
// picture has a mask, or with `truth` none a label that is a class.
SegmentationResult EvaluateSegmentation(const ClipModel& model, const ImageSet& set,
                                        ArrayView<const float, 2> classifier,
                                        const ClassLabels& labels,
                                        const SegmentationOptions& options);

}  // namespace cliplens
