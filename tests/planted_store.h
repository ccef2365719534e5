// A store of made-up pictures in which it is known what every head tells of.
#pragma once

#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Pictures have a colour and a shape, four values each, that their embedding names exactly: unit
// rows of which entries 0–3 tell the colour and 4–7 the shape. One layer of five heads:
// H0 follows the colour, H1 the shape, H2 colour and shape alike, H3 noise, H4 nothing at all.
struct PlantedStore {
  Index images = 400;
  double noise = 0.1;
  std::uint64_t seed = 1;
  static constexpr Index kValues = 4, kHeads = 5, kHeadWidth = 8, kEmbedWidth = 8;

  // The texts of the property table: the colours, then the shapes. Unit rows [8, 8].
  static Array<float, 2> Texts() {
    Array<float, 2> texts({2 * kValues, kEmbedWidth});
    for (Index t = 0; t < texts.dim(0); ++t) texts.row(t)[t] = 1;
    return texts;
  }

  Store Write(const std::filesystem::path& path) const {
    Basis basis;
    const FactorLayout layout{.values = kHeadWidth, .constants = basis.layout().constants};
    basis.heads = Array<float, 4>({1, kHeads, layout.width(), kEmbedWidth});
    for (Index h = 0; h < kHeads; ++h) {
      for (Index k = 0; k < kHeadWidth; ++k) basis.heads.view()[0][h].row(k)[k] = 1;
    }
    FactorBlock block = MakeBlock(basis.sizes(), images);
    std::vector<Item> items;
    std::mt19937_64 engine(seed);
    // Not the library's distributions: their numbers differ between implementations.
    const auto below = [&](Index n) {
      return static_cast<Index>(engine() % static_cast<std::uint64_t>(n));
    };
    const auto jitter = [&] {
      return static_cast<float>(noise * (static_cast<double>(engine() >> 11) * 0x1p-52 - 1));
    };
    for (Index b = 0; b < images; ++b) {
      const Index colour = below(kValues);
      const Index shape = below(kValues);
      Item item;
      item.path = "picture-" + std::to_string(b) + ".png";
      item.attributes = {{"colour", "c" + std::to_string(colour)},
                         {"shape", "s" + std::to_string(shape)}};
      items.push_back(std::move(item));
      block.ln.row(b)[1] = block.ln.row(b)[2] = 1;
      const auto embedding = block.embedding.row(b);
      embedding[colour] = embedding[kValues + shape] = std::sqrt(0.5F);
      const auto rest = block.mlp.view()[0].row(b);
      for (Index e = 0; e < kEmbedWidth; ++e) rest[e] = embedding[e];
      for (Index h = 0; h < kHeads; ++h) {
        const auto z = block.head_z.view()[0][h].row(b);
        for (Index k = 0; k < kHeadWidth; ++k) z[k] = h == 4 ? 0.5F : jitter();
        if (h == 0 || h == 2) z[colour] += 1;
        if (h == 1 || h == 2) z[kValues + shape] += 1;
        for (Index k = 0; k < kHeadWidth; ++k) rest[k] -= z[k];
      }
    }
    StoreInfo info;
    info.model_name = "planted";
    info.model_path = "/planted";
    info.fingerprint = std::string(32, '0');
    info.model_config = {{"vision", {{"image_size", 32}, {"patch_size", 16}}}};
    info.images = images;
    DataSource data;
    data.kind = "folder";
    data.root = "/pictures";
    data.images = data.set_images = data.shard_images = images;
    data.set_checksum = std::string(32, '0');
    info.data.push_back(data);
    FactorSink sink(path, basis, info);
    sink.Add({.block = std::move(block), .items = std::move(items)}, 1);
    sink.Finish();
    return Store::Open(path);
  }
};

}  // namespace cliplens
