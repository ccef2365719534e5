// The mask of what a text or a class names in one picture, and masks of a set compared with known
// ones.
//
//   const Classifier classes = OpenClassifier(model, {.classes = "objects.txt"}, {});
//   const MaskedPicture masked =
//       MaskPicture(model, PassOf(model, picture, threads), picture, "duck.png",
//                   {.classes = &classes, .heads = heads, .heads_text = "heads all"}, threads);
//   WriteFileAtomically("mask.png", EncodePng(masked.image));
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/segmentation.h"
#include "cliplens/analysis/token_map.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// Where maps come from.
struct MapChoice {
  MapMethod method = MapMethod::kDecomposition;
  HeadChoice heads = {};     // of the decomposition
  std::string neurons = {};  // a store of neurons, whose directions kNeurons uses
  std::string layers = {};   // of neurons, as ParseNeuronLayers takes them; empty: the store's
  Index top_neurons = 200;   // that kNeurons takes for each class
};
// The maps of the rows of a classifier, or of one text: unit [C, E]. Throws as ChooseHeads,
// NeuronStore::Open, ParseNeuronLayers and ClassMaps, and Error(kInvalidArgument) for heads or
// neurons that the method does not look at.
ClassMaps OpenMaps(const ClipModel& model, ArrayView<const float, 2> rows, const MapChoice& choice,
                   int threads);

struct PictureMask {
  std::string model_name;
  std::string fingerprint;
  std::string picture;
  Index width = 0;
  Index height = 0;
  Index oriented = 0;   // OrientedIn() of the picture
  std::string text;     // whose map it is
  bool answer = false;  // the model's own, among `classes`
  Index classes = 0;    // whose mean was subtracted; 0: none
  MapMethod method = MapMethod::kDecomposition;
  MapCut cut = MapCut::kMean;
  std::string heads;     // of the decomposition
  PixelRegion region;    // what the model saw
  double mean = 0;       // of the scaled map
  double threshold = 0;  // object is what lies above it
  bool empty = false;
  Index object_pixels = 0;
};
// What the mask is of: a text by its row, or a class.
struct MaskChoice {
  std::string text = {};
  Array<float, 2> row = {};             // [1, E] of the text; nothing is subtracted from its map
  const Classifier* classes = nullptr;  // instead: minus the mean over the classes
  std::string class_name = {};          // empty: the model's answer
  std::vector<HeadId> heads = {};       // of the decomposition
  std::string heads_text = {};
  MapCut cut = MapCut::kMean;

  ArrayView<const float, 2> rows() const { return classes != nullptr ? classes->rows : row; }
};
struct MaskedPicture {
  PictureMask mask;
  Image image;             // 8-bit grey of the picture's size: 255 is the object
  Array<float, 2> values;  // [height, width] the map from 0 to 1, 0 beside what the model saw
};
// By the decomposition; `pass` is that of the picture. Throws as TokenWeights and Classifier::Find.
MaskedPicture MaskPicture(const ClipModel& model, const TokenPass& pass, const Image& picture,
                          const std::string& path, const MaskChoice& choice, int threads);
// By maps of `choice.rows()`; the pass must have their captures().
MaskedPicture MaskPicture(const ClipModel& model, const ClassMaps& maps, const TokenPass& pass,
                          const Image& picture, const std::string& path, const MaskChoice& choice);

// How to segment a set.
struct SegmentationChoice {
  MapChoice maps = {};
  ClassChoice classes = {};
  SegmentationOptions options = {};  // but for label, threads and progress
};
struct SegmentationReport {
  std::string model_name;
  std::string fingerprint;
  std::string kind;  // of the set, and its place and split
  std::string root;
  std::string split;
  std::string classes_name;
  Index classes = 0;
  Index templates = 0;
  MapMethod method = MapMethod::kDecomposition;
  std::string heads;  // as chosen
  SegmentationOptions options;
  SegmentationResult result;
  LeftOut left_out;  // of the set
};
// The stages are "classes" and "pictures". Throws as OpenMaps, OpenClassifier and
// EvaluateSegmentation.
SegmentationReport SegmentPictures(const ClipModel& model, const ImageSet& set,
                                   const SegmentationChoice& choice, const Work& work);

}  // namespace cliplens
