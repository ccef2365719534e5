// What neurons write through later heads, in words, from the weights alone.
//
//   const NeuronWeightsReport report =
//       DescribeNeuronWeights(model, {.texts = "general", .layers = "last-3"}, {.threads = 4});
//   for (const PairWords& pair : report.layers[0].pairs) Print(NeuronName(pair.neuron), pair.norm);
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/matching_pursuit.h"
#include "cliplens/app/neurons.h"
#include "cliplens/app/work.h"
#include "cliplens/model/clip.h"

namespace cliplens {

struct NeuronWeightsChoice {
  std::string texts = "general";  // a pool, as TextsPath takes it
  std::string layers = "last-3";  // as ParseNeuronLayers takes them
  bool text = false;              // of the text tower
  Index pairs = 20;               // of each layer, the strongest
  Index count = 5;                // texts of each
  Index feeders = 5;              // neurons of each head, the strongest
  TextScale scale = TextScale::kUnit;
  bool truncate = false;  // texts longer than the context are cut
};

// A neuron and a head that carries what it writes.
struct PairWords {
  NeuronId neuron;
  HeadId head;
  double norm = 0;                // |D|: the effect of one unit of α, in lengths of the embedding
  std::vector<NeuronWord> words;  // of the direction, by |weight|
  double cosine = 0;              // of their sum and the direction
};
// How strongly a layer's neurons feed one later head.
struct HeadFeed {
  HeadId head;
  double strength = 0;         // root of the mean of |D|² over the neurons
  std::vector<Index> neurons;  // the strongest, of largest |D|
};
struct NeuronLayerWeights {
  Index layer = 0;
  Index neurons = 0;
  std::vector<PairWords> pairs;
  std::vector<HeadFeed> heads;  // of all later layers, in order
};
struct NeuronWeightsReport {
  std::string model_name, fingerprint;
  bool text = false;
  TextPool pool;
  TextScale scale = TextScale::kUnit;
  std::vector<NeuronLayerWeights> layers;
};

// The stages are "texts" and "words". Throws as ReadTextPool, ParseNeuronLayers, CachedTexts and
// MatchingPursuit.
NeuronWeightsReport DescribeNeuronWeights(const ClipModel& model, const NeuronWeightsChoice& choice,
                                          const Work& work);

}  // namespace cliplens
