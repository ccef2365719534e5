// What neurons write through later heads, from weights alone: tables, JSON, CSV and a picture.
//
//   const NeuronWeightsReport report = DescribeNeuronWeights(model, {.layers = "last-3"}, {});
//   Print(NeuronWeightsTable(report));
//   WriteFileAtomically("feeds.png", EncodePng(NeuronFeedSheet(report)));
#pragma once

#include <string>

#include "cliplens/app/neuron_weights.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.neurons.weights/1".
Json NeuronWeightsJson(const NeuronWeightsReport& report);
std::string NeuronWeightsCsv(const NeuronWeightsReport& report);
std::string NeuronWeightsTable(const NeuronWeightsReport& report);
// How strongly each layer's neurons feed each later head: a row for each layer, a cell for each
// head, on one scale.
Image NeuronFeedSheet(const NeuronWeightsReport& report);

}  // namespace cliplens
