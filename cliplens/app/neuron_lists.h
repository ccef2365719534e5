// What report and explorer show of a store of neurons: those that matter most in each layer, and
// those that feed a head.
//
//   const NeuronPool pool = OpenNeuronPool(model, {.texts = "general"}, {});
//   const NeuronList list = ListNeurons(neurons, pool, {.layers = "9", .count = 20}, {});
//   for (const ListedNeuron& n : list.neurons) Print(NeuronName(n.neuron.id), n.share);
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/app/neuron_pictures.h"
#include "cliplens/app/neurons.h"

namespace cliplens {

// A neuron's place among those of a store.
struct RankedNeuron {
  NeuronId id;
  double share = 0;    // its variance over that of the embeddings
  double through = 0;  // of `share`, what one head carries; below 0 where it works against the rest
};
// By `share`, largest first. With a head, those of earlier layers, by |through|, and without those
// of which it carries nothing. `layers` are of the store.
std::vector<RankedNeuron> RankNeurons(const NeuronStore& store, LayerRange layers,
                                      std::optional<HeadId> head = {});

struct NeuronLayer {
  Index layer = 0;
  Index neurons = 0;
  double share = 0;  // the sum of its neurons' shares, each for itself
};
std::vector<NeuronLayer> NeuronLayersOf(const NeuronStore& store);

struct NeuronListChoice {
  std::string layers = {};          // as ParseNeuronLayers takes them; empty: all of the store
  std::optional<HeadId> head = {};  // those that feed it
  Index from = 0, count = 20;       // of the ranking
  Index words = 4;                  // texts of each
};
struct ListedNeuron {
  NeuronWords neuron;
  double share = 0, through = 0;  // as in RankedNeuron
  CarryingHead strongest;         // that carries most of it
};
struct NeuronList {
  StoreInfo store;
  TextPool pool;
  std::vector<NeuronLayer> layers;  // all of the store
  std::optional<HeadId> head;
  Index total = 0, from = 0;  // in the ranking; the place of the first
  std::vector<ListedNeuron> neurons;
};
// Throws as DescribeNeurons, and Error(kInvalidArgument) for a head that is not of a layer after
// one of the store's.
NeuronList ListNeurons(const NeuronStore& store, const NeuronPool& pool,
                       const NeuronListChoice& choice, const Work& work);

// The neurons that the report shows.
struct ReportNeurons {
  StoreInfo store;
  TextPool pool;
  std::vector<NeuronLayer> layers;
  std::vector<NeuronShown> shown;  // of each layer the largest shares, with maps
  std::map<HeadId, std::vector<RankedNeuron>> feeders;  // of the heads of later layers
  Index maps = 0, missing = 0;  // pictures with a map, and those that cannot be read
  std::string problem;          // why there are no maps, where there are none
};
struct ReportNeuronsChoice {
  std::string store = {};   // directory
  std::string texts = {};   // a pool, as TextsPath takes it
  std::string images = {};  // where its pictures are, if not where it says
  Index neurons = 6;        // of each layer
  Index pictures = 6;       // of each
  Index words = 8;          // of each
  Index feeders = 5;        // of each head
  bool truncate = false;    // texts longer than the context are cut
};
// The stages are "texts", "words" and "pictures". Throws as NeuronStore::Open and DescribeNeurons,
// and Error(kInvalidArgument) for neurons of another model than `model`, or of its text tower.
ReportNeurons OpenReportNeurons(const ClipModel& model, const ReportNeuronsChoice& choice,
                                const Work& work);

}  // namespace cliplens
