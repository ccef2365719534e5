// A neuron on its pictures, a picture's neurons, and cues of words: tables, JSON and a sheet.
//
//   const NeuronShown shown = ShowNeuron(neurons, lazy, {.neuron = "L9.N2914", .maps = true}, {});
//   Print(NeuronShownTable(shown));
//   WriteFileAtomically("neuron.png", EncodePng(NeuronShownSheet(shown)));
#pragma once

#include <optional>
#include <string>

#include "cliplens/app/neuron_pictures.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"

namespace cliplens {

// Of all maps by size; 0 without any.
double LargestActivation(const NeuronShown& shown);
// "cliplens.neurons.show/1".
Json NeuronShownJson(const NeuronShown& shown);
std::string NeuronShownTable(const NeuronShown& shown);
// The pictures of largest effect with the neuron's activation over them, three in a row.
Image NeuronShownSheet(const NeuronShown& shown);

// "cliplens.neurons.discover/1".
Json DiscoveryJson(const Discovery& discovery);
std::string DiscoveryTable(const Discovery& discovery);

// "cliplens.neurons.cue/1". `scored` may be empty.
Json NeuronCueJson(const NeuronCue& cue, const std::optional<CueScores>& scored);
std::string NeuronCueTable(const NeuronCue& cue, const std::optional<CueScores>& scored);

}  // namespace cliplens
