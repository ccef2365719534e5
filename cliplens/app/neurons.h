// What single neurons do, in words and in accuracy, from a store of neurons.
//
//   const NeuronStore store = NeuronStore::Open("nstore/");
//   const NeuronWordsReport words =
//       DescribeNeurons(store, model, {.texts = "general", .count = 8}, {.threads = 4});
//   for (const NeuronWords& n : words.neurons) Print(NeuronName(n.id), n.cosine);
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/matching_pursuit.h"
#include "cliplens/analysis/neuron_ablation.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/models.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/neurons/neuron_id.h"
#include "cliplens/neurons/neuron_store.h"

namespace cliplens {

// Throws Error(kUnsupported), which opens with `what`, for a store of the text tower's neurons.
void RequirePictures(const NeuronStore& store, const char* what);

// Neurons by name: "L9.N4,L10" (a neuron, all of a layer), "9-10", "last-2"; empty: all that the
// store has. In order, each once. Throws Error(kInvalidArgument) for a name or layer that it has
// not.
std::vector<NeuronId> NeuronsNamed(const NeuronStore& store, const std::string& names);

// Pictures that a neuron's direction is made of.
enum class NeuronPictures { kTop, kAll };

struct NeuronWordsChoice {
  std::string texts = "general";  // a pool, as TextsPath takes it
  std::string neurons = {};       // as NeuronsNamed takes them
  Index count = 8;                // texts of each
  TextScale scale = TextScale::kUnit;
  NeuronPictures pictures = NeuronPictures::kTop;
  bool truncate = false;  // texts longer than the context are cut
};

// A pool of texts, ready to describe many directions.
struct NeuronPool {
  TextPool pool;
  TextScale scale = TextScale::kUnit;
  PursuitAtoms atoms;
};
// `rows`: those of the pool's texts, [M, E] unit. Throws as PursuitAtoms.
NeuronPool MakeNeuronPool(TextPool pool, ArrayView<const float, 2> rows, TextScale scale);
// The pool of `choice`. The stage is "texts". Throws as ReadTextPool, CachedTexts and PursuitAtoms.
NeuronPool OpenNeuronPool(const RowModel& model, const NeuronWordsChoice& choice, const Work& work);

struct NeuronWord {
  Index text = 0;     // in the pool
  double weight = 0;  // of the text about the pool's mean; of either sign
};
// The texts of a path by |weight|, largest first, and the cosine of their sum and the target.
struct WordsOfPath {
  std::vector<NeuronWord> words;
  double cosine = 0;
};
WordsOfPath WordsOf(const PursuitPath& path);

struct NeuronWords {
  NeuronId id;
  double variance = 0;            // mean of |φ̃|² over the pictures: how much the neuron does
  double top_explained = 0;       // of its effects on the k pictures of largest effect, along `top`
  double all_explained = 0;       // of its effects on all, along `all`
  double threshold = 0;           // |φ̃| above this is significant
  std::vector<NeuronWord> words;  // by |weight|, largest first
  double cosine = 0;              // of their sum and the direction
  PursuitEnd end = PursuitEnd::kCount;
};
struct NeuronWordsReport {
  StoreInfo store;
  double embedding_variance = 0;  // of the embeddings, beside that of single neurons
  double ShareOf(const NeuronWords& neuron) const {
    return embedding_variance > 0 ? neuron.variance / embedding_variance : 0;
  }
  TextPool pool;
  NeuronWordsChoice choice;
  std::vector<NeuronWords> neurons;
  Array<float, 2> directions;  // [neurons, E] unit rows
};
// The stages are "texts" and "words". Throws as NeuronsNamed, ReadTextPool, CachedTexts and
// MatchingPursuit.
NeuronWordsReport DescribeNeurons(const NeuronStore& store, const RowModel& model,
                                  const NeuronWordsChoice& choice, const Work& work);
// Of these neurons, in their order, with a pool that is open: its texts and scale and `ids` count
// instead of what `choice` names.
NeuronWordsReport DescribeNeurons(const NeuronStore& store, const NeuronPool& pool,
                                  const std::vector<NeuronId>& ids, const NeuronWordsChoice& choice,
                                  const Work& work);

// The directions of some neurons of one kind, one below the other [neurons, E].
Array<float, 2> DirectionsOfNeurons(const NeuronStore& store, const std::vector<NeuronId>& neurons,
                                    NeuronPictures pictures);

struct NeuronAblationChoice {
  std::string layers = {};      // as ParseNeuronLayers takes them; empty: all of the store
  std::string directions = {};  // store whose means, directions and thresholds are used; empty: own
  ClassChoice classes = {};
};
struct NeuronAblationReport {
  AccuracySetting setting;  // `means` is the store of directions, where it is another
  Index top = 0;            // pictures that directions are made of
  std::vector<NeuronAblation> layers;
};
// The stages are "classes" and "pictures". Throws as OpenAccuracy and AblateNeurons.
NeuronAblationReport AblateNeuronLayers(const NeuronStore& store, const LazyModel& model,
                                        const NeuronAblationChoice& choice, const Work& work);

struct NeuronReconstructionChoice {
  NeuronAblationChoice ablation = {};
  std::vector<std::string> texts = {"general"};               // pools, as TextsPath takes them
  std::vector<Index> counts = {1, 2, 4, 8, 16, 32, 64, 128};  // of texts a neuron
  TextScale scale = TextScale::kUnit;
  // The sum of texts is made unit before effects are projected on it; as it is otherwise, as in the
  // paper's code, which shrinks them by its squared length.
  bool unit = true;
};
struct NeuronPoolReconstruction {
  std::string pool;
  Index texts = 0;
  Index blank = 0;                // blank lines of its file
  std::vector<AblationRow> rows;  // one for each count
};
struct NeuronReconstructionReport {
  AccuracySetting setting;
  Index layer = 0;
  Index images = 0;
  std::vector<Index> counts;
  bool unit = true;
  TextScale scale = TextScale::kUnit;
  AblationRow base, nothing, direction;  // as the rows base, neurons and direction
  std::vector<NeuronPoolReconstruction> pools;
};
// Of each layer. The stages are "classes", "texts", "words" and "pictures". Throws as
// AblateNeuronLayers and DescribeNeurons, and Error(kInvalidArgument) for counts that do not
// ascend.
std::vector<NeuronReconstructionReport> ReconstructNeurons(const NeuronStore& store,
                                                           const LazyModel& model,
                                                           const NeuronReconstructionChoice& choice,
                                                           const Work& work);

}  // namespace cliplens
