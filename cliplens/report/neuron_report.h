// Neurons as tables, JSON (docs/json.md), CSV, arrays and curves.
//
//   const NeuronWordsReport words = DescribeNeurons(neurons, model, {.texts = "general"}, {});
//   Print(NeuronWordsTable(words, /*most=*/20));
//   WriteFileAtomically("words.npz", NeuronWordsNpz(words));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cliplens/app/neurons.h"
#include "cliplens/io/json.h"
#include "cliplens/model/clip.h"
#include "cliplens/neurons/collect.h"
#include "cliplens/report/curve.h"

namespace cliplens {

// "cliplens.neurons.collect/1".
Json CollectJson(const ClipModel& model, const CollectOptions& options, const CollectResult& result,
                 const LeftOut& left_out, double seconds);

// "cliplens.neurons.words/1".
Json NeuronWordsJson(const NeuronWordsReport& report);
// One line a word: neuron, its figures, rank, text, weight.
std::string NeuronWordsCsv(const NeuronWordsReport& report);
// The `most` neurons of largest variance; all where there are no more.
std::string NeuronWordsTable(const NeuronWordsReport& report, Index most);
// "layer", "neuron" [n], "directions" [n, E], "variance" [n], and the weights of texts [n, texts]
// as scipy.sparse.load_npz reads them.
std::vector<std::uint8_t> NeuronWordsNpz(const NeuronWordsReport& report);

// "cliplens.neurons.ablate/1".
Json NeuronAblationJson(const NeuronAblationReport& report);
std::string NeuronAblationCsv(const NeuronAblationReport& report);
std::string NeuronAblationTable(const NeuronAblationReport& report);
// Accuracy by layer, a series for each row but the first, a line for that: figure 3 of the paper.
Curve NeuronAblationCurve(const NeuronAblationReport& report);

// "cliplens.neurons.reconstruct/1".
Json NeuronReconstructionJson(const std::vector<NeuronReconstructionReport>& reports);
std::string NeuronReconstructionCsv(const std::vector<NeuronReconstructionReport>& reports);
std::string NeuronReconstructionTable(const std::vector<NeuronReconstructionReport>& reports);
// Accuracy by the number of texts, a figure for each layer and a series for each pool: figure 4 of
// the paper.
std::vector<Curve> NeuronReconstructionCurves(
    const std::vector<NeuronReconstructionReport>& reports);

// Words with their weights, in one line.
std::string NeuronWordsText(const std::vector<NeuronWord>& words, const TextPool& pool);
// {"text", "index", "weight"} of each.
Json NeuronWordListJson(const std::vector<NeuronWord>& words, const TextPool& pool);

}  // namespace cliplens
