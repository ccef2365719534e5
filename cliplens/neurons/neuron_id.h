// Names of neurons: `L9.N2914` is number 2914 of the MLP of layer 9; both count from 0.
//
//   Print(NeuronName({9, 2914}));                                        // L9.N2914
//   const NeuronId id = ParseNeuron("L9.N2914", /*layers=*/12, /*neurons=*/3072);
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "cliplens/base/array.h"
#include "cliplens/model/captures.h"

namespace cliplens {

struct NeuronId {
  int layer = 0;
  int neuron = 0;
  friend auto operator<=>(const NeuronId&, const NeuronId&) = default;
};

std::string NeuronName(NeuronId id);
// Throws Error(kInvalidArgument) for other text, and for a layer or number that is not there.
NeuronId ParseNeuron(std::string_view text, Index layers, Index neurons);

// Layers "8-10", "9", "last-3" (the last three that have later attention: 8 to 10 of twelve) or
// "all" (all but the last). Throws Error(kInvalidArgument) for other text and for layers that are
// not there; the last layer has no attention after it, which the message says.
LayerRange ParseNeuronLayers(std::string_view text, Index layers);
// The same where it is one layer.
Index ParseNeuronLayer(std::string_view text, Index layers);

}  // namespace cliplens
