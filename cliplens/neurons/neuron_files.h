// The files of a store of neurons: basis, shards, statistics (docs/neurons.md, "The store").
//
//   WriteNeuronBasis("basis.safetensors", paths);
//   const auto read = ReadNeuronBasis("basis.safetensors", {8, 11}, /*heads=*/12);
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cliplens/dataset/image_set.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/neurons/neuron_directions.h"
#include "cliplens/neurons/neuron_paths.h"

namespace cliplens {

// Tensors of a store's file by name. Throws Error(kCorruptData) for another shape than is expected
// and for numbers that are not finite.
class NeuronFile {
 public:
  explicit NeuronFile(const std::filesystem::path& path) : file_(path) {}

  Index size() const { return std::ssize(file_.tensors()); }
  bool Has(const std::string& name) const { return file_.contains(name); }
  // With so many axes, none of them empty; or of this shape.
  const TensorEntry& Find(const std::string& name, std::size_t axes) const;
  const TensorEntry& Find(const std::string& name, const std::vector<Index>& shape) const;
  // The values; `count` of them from number `first` on.
  std::vector<float> Floats(const std::string& name, const std::vector<Index>& shape) const;
  std::vector<float> Floats(const std::string& name, const std::vector<Index>& shape, Index first,
                            Index count) const;
  std::vector<double> Doubles(const std::string& name, const std::vector<Index>& shape) const;

 private:
  template <typename T>
  std::vector<T> Checked(const std::string& name, std::vector<T> values) const;

  SafetensorsFile file_;
};

// The coefficients of some pictures, as a shard holds them.
struct NeuronBlock {
  std::vector<Array<float, 3>> alpha;   // of each layer [F, B, J]
  std::vector<Array<float, 2>> shared;  // of each layer [B, 2J+2Q+1]
  Array<float, 2> embedding;            // [B, E] unit rows
  Index pictures() const { return embedding.dim(0); }
};
// Zeros for `pictures`.
NeuronBlock MakeNeuronBlock(std::span<const NeuronPaths> paths, Index pictures);
// Rows `kept`, in that order.
NeuronBlock SelectPictures(const NeuronBlock& block, std::span<const Index> kept);

std::string AlphaName(Index layer);   // "alpha.L9"
std::string SharedName(Index layer);  // "shared.L9"
std::vector<TensorToWrite> TensorsOf(const NeuronBlock& block, std::span<const NeuronPaths> paths);

// The weights' part of consecutive layers, rounded to fp32. Reading checks every shape; it throws
// Error(kCorruptData) for another than the sizes of the first layer ask for.
void WriteNeuronBasis(const std::filesystem::path& file, std::span<const NeuronPaths> paths);
std::vector<NeuronPaths> ReadNeuronBasis(const std::filesystem::path& file, LayerRange layers,
                                         Index heads);

// What is known of all pictures together.
struct NeuronStatistics {
  EmbeddingMoments embedding;
  std::vector<NeuronDirections> layers;  // of each layer
  // With statistics only: the pictures that `top_pictures` names, which are numbers of this list.
  std::vector<Item> items = {};
};
// Writing returns the file's checksum; reading checks every shape.
std::string WriteNeuronStatistics(const std::filesystem::path& file,
                                  std::span<const NeuronPaths> paths,
                                  const NeuronStatistics& statistics);
// Throws Error(kCorruptData) for numbers that are not finite, and for pictures beyond `pictures`.
NeuronStatistics ReadNeuronStatistics(const std::filesystem::path& file,
                                      std::span<const NeuronPaths> paths, Index pictures);
// The checksum of the file that WriteNeuronStatistics writes.
std::string ChecksumOf(std::span<const NeuronPaths> paths, const NeuronStatistics& statistics);

}  // namespace cliplens
