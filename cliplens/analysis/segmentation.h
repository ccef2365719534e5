// Zero-shot segmentation: heat maps of classes, turned into masks and compared with known ones.
//
//   const ClassMaps maps(model, classifier, MapMethod::kDecomposition, /*heads=*/{}, threads);
//   const SegmentationResult r = EvaluateSegmentation(model, *set, maps, ClassLabels(classes), {});
//   Print(r.all.mean_iou.value);
//
// "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916),
// section 5 and its code: a picture's map is that of the class that the model answers minus the
// mean over the classes, ⟨Σ_{l,h} c_{l,h,i}, w_ĉ − w̄⟩ for each patch i. The map is resized to the
// model's input (bilinear, half-pixel centres), clipped below at 0 and scaled to 0…1. Every pixel
// above its mean is object.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/class_maps.h"
#include "cliplens/analysis/mask.h"
#include "cliplens/analysis/mask_score.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/model/clip.h"

namespace cliplens {

struct SegmentationOptions {
  MapCut cut = MapCut::kMean;
  MapGeometry geometry = MapGeometry::kAligned;
  bool truth = false;      // maps of the picture's label instead of the model's answer
  std::string label = {};  // attribute that holds the label; empty: the picture's own
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
  std::vector<SkippedPicture> incomplete;  // were read, and lack attributes
  Index oriented = 0;                      // PictureErrors::oriented
  Array<float, 3> maps;  // with `keep_maps` [all.pictures, g, g], as ClassMaps::MapOf
};

// Throws Error(kCorruptData) for a mask of another size than its picture, Error(kNotFound) when no
// picture has a mask, or with `truth` none a label that is a class.
SegmentationResult EvaluateSegmentation(const ClipModel& model, const ImageSet& set,
                                        const ClassMaps& maps, const ClassLabels& labels,
                                        const SegmentationOptions& options);

}  // namespace cliplens
