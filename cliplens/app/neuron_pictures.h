// Neurons on single pictures: where they fire, which are active in a picture, what they say of it.
//
//   const NeuronStore store = NeuronStore::Open("nstore/");
//   const NeuronShown shown = ShowNeuron(store, lazy, {.neuron = "L9.N2914"}, {});
//   for (const TopPicture& p : shown.pictures) Print(p.path, p.along);
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/app/heat_maps.h"
#include "cliplens/app/neurons.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/intervals.h"
#include "cliplens/model/config.h"

namespace cliplens {

struct NeuronShowChoice {
  std::string neuron;            // as ParseNeuron takes it
  NeuronWordsChoice words = {};  // but for `neurons`
  Index heads = 8;               // that carry it, the strongest
  Index pictures = 9;            // of largest effect, at most those of the store's `top`
  bool maps = false;             // and where the neuron fires in them
  Index map_side = 0;            // longest side of the pictures under the maps; 0: as they are
  std::string images = {};       // where the pictures are; empty: where the store says
};
// A head that carries what a neuron writes.
struct CarryingHead {
  HeadId id;
  double share = 0;   // of the neuron's variance; below 0 where it works against the rest
  double cosine = 0;  // of what it writes and the neuron's direction
};
struct TopPicture {
  Index number = 0;  // in the store
  std::string path;
  double norm = 0;   // |φ̃|
  double along = 0;  // ⟨φ̃, r⟩
  // With `maps`: the neuron's activation on each patch, and on the class token, if there is one.
  std::optional<MappedPicture> picture = {};
  Array<double, 2> fires = {};  // [g, g]
  std::optional<double> class_token = {};
};
struct NeuronShown {
  NeuronWordsReport words;          // of the one neuron
  std::vector<CarryingHead> heads;  // by |share|, largest first
  std::vector<TopPicture> pictures;
  Index missing = 0;  // pictures whose maps were wanted and that cannot be read any more
};
// Throws as DescribeNeurons; with `maps` Error(kNotFound) where the store's pictures are gone.
NeuronShown ShowNeuron(const NeuronStore& store, const LazyModel& model,
                       const NeuronShowChoice& choice, const Work& work);
// Of one neuron, with a pool that is open and without maps. `items`: NeuronStore::ReadItems.
NeuronShown ShowNeuron(const NeuronStore& store, const NeuronPool& pool,
                       std::span<const Item> items, NeuronId id, const NeuronShowChoice& choice,
                       const Work& work);
// The one neuron of this name. Throws as NeuronsNamed, and Error(kInvalidArgument) for several.
NeuronId OneNeuronNamed(const NeuronStore& store, const std::string& name);

// Adds the maps of all pictures that can be read, and counts the others in `missing`. A picture is
// read and passed once, however many neurons show it. The stage is "pictures".
void MapNeurons(const ClipModel& model, const ImageSet& set, Index map_side, const Work& work,
                std::span<NeuronShown> shown);

// A neuron's activation behind the non-linearity.
struct NeuronFiring {
  NeuronId id;
  Array<double, 2> patches;  // [g, g]
  std::optional<double> class_token = {};
};
// `captures` of a pass that keeps the hidden rows of the neuron's layer.
NeuronFiring FiringOf(const Captures& captures, const TokenLayout& layout, NeuronId id);

struct DiscoveryChoice {
  NeuronWordsChoice words = {.count = 32};  // but for `neurons`
  std::string layers = {};  // of the store, as ParseNeuronLayers takes them; empty: all
  Index concepts = 10;      // on each side
  Index neurons = 10;       // listed
};
// A neuron whose effect on the picture is above its threshold.
struct ActiveNeuron {
  NeuronWords neuron;
  double norm = 0;   // |φ̃|
  double along = 0;  // ⟨φ̃, r⟩
};
struct Discovered {
  Index text = 0;  // in the pool
  double score = 0;
};
struct Discovery {
  StoreInfo store;
  TextPool pool;
  std::string path;
  Index neurons = 0;                    // looked at
  Index active = 0;                     // above their threshold
  std::vector<ActiveNeuron> strongest;  // of these, by |along|
  std::vector<Discovered> concepts;     // Σ weight · along of active neurons, largest first
  std::vector<Discovered> against;      // below 0, lowest first
};
// "Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), section 4.2, with
// the signed projection ⟨φ̃, r⟩ where the paper's code has |φ̃|. The stages are "texts" and "words".
// Throws as PassOf, DescribeNeurons and NeuronPaths::CoefficientsOf.
Discovery DiscoverConcepts(const NeuronStore& store, const ClipModel& model, const Image& picture,
                           const std::string& path, const DiscoveryChoice& choice,
                           const Work& work);

struct NeuronCueChoice {
  std::string towards;  // class A, a text
  std::string from;     // class B, a text
  std::string layers = {};
  NeuronWordsChoice words = {.count = 32};  // but for `neurons`
  Index neurons = 100;                      // of largest |⟨r, A − B⟩|
  Index count = 20;                         // words
  // Words are left out whose embedding is at least so like that of A: the cosine about the mean of
  // the pool.
  double similar = 0.6;
};
struct NeuronCueWord {
  Index text = 0;
  double score = 0;  // Σ weight · ⟨r, A − B⟩ over the neurons
};
struct NeuronCue {
  StoreInfo store;
  TextPool pool;
  std::string towards, from;
  Index neurons = 0;
  std::vector<NeuronCueWord> words;  // largest score first
  Index left_out = 0;                // words that are too like A
  Vector direction;                  // [E] A − B, of unit rows
};
// Words that push a picture's answer from B towards A, though they are not A: the word list of
// section 4.1 of arXiv 2406.04341. Throws as DescribeNeurons and EmbedWords.
NeuronCue FindCue(const NeuronStore& store, const ClipModel& model, const NeuronCueChoice& choice,
                  const Work& work);

// Pictures of a set held against a cue's direction A − B.
struct CueScores {
  std::string place;
  Index pictures = 0;
  Index towards = 0;    // with ⟨e, A − B⟩ above 0: the answer is A
  Estimate share = {};  // of these, Wilson's bounds
  std::vector<std::pair<std::string, double>> scores;  // by path
  std::vector<SkippedPicture> skipped, incomplete;
  LeftOut left_out;
  Index oriented = 0;
};
// Throws as OpenImages and EmbedReadableImages. The stage is "pictures".
CueScores ScoreCue(const ClipModel& model, const NeuronCue& cue, const ImagesChoice& images,
                   OnError on_error, const Work& work);

}  // namespace cliplens
