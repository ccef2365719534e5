// A store of a model with random weights, with classes, labels, and its contributions in the
// embedding's E numbers.
#pragma once

#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Random unit rows.
inline Array<float, 2> UnitRows(Index count, Index width, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Matrix rows(count, width);
  for (Index i = 0; i < rows.size(); ++i) rows.data()[i] = normal(random);
  rows.rowwise().normalize();
  Array<float, 2> out({count, width});
  AsEigen(out.view()) = rows.cast<float>();
  return out;
}

// Contributions of all pictures [B, E] in fp64; heads by layer.
struct Contributions {
  std::vector<Matrix> heads;  // [L·H]
  std::vector<Matrix> mlps;   // [L+1]: INPUT, MLP 0 …
  std::vector<Matrix> cls;    // [L]

  explicit Contributions(const Store& store) {
    const Basis& basis = store.basis();
    const Index images = store.info().images;
    const Matrix zero = Matrix::Zero(images, basis.embed_width());
    heads.assign(ToSize(basis.layers() * basis.num_heads()), zero);
    mlps.assign(ToSize(basis.layers() + 1), zero);
    cls.assign(ToSize(basis.layers()), zero);
    Index first = 0;
    for (Index s = 0; s < store.num_shards(); ++s) {
      const FactorBlock block = store.ReadShard(s);
      const Index count = block.images();
      for (std::size_t i = 0; i < heads.size(); ++i) {
        const auto l = static_cast<Index>(i) / basis.num_heads();
        const auto h = static_cast<Index>(i) % basis.num_heads();
        const Matrix b = AsEigen(basis.heads.view()[l][h]).cast<double>();
        heads[i].middleRows(first, count) =
            block.Factors(basis.components().HeadAt(static_cast<Index>(i)), 0, count) * b;
      }
      for (std::size_t i = 0; i < mlps.size(); ++i) {
        mlps[i].middleRows(first, count) =
            AsEigen(block.mlp.view()[static_cast<Index>(i)]).cast<double>();
      }
      for (std::size_t i = 0; i < cls.size(); ++i) {
        cls[i].middleRows(first, count) =
            AsEigen(block.cls_attn.view()[static_cast<Index>(i)]).cast<double>();
      }
      first += count;
    }
  }

  // Every row the column means.
  static Matrix Mean(const Matrix& rows) { return rows.colwise().mean().replicate(rows.rows(), 1); }
  static Matrix Sum(const std::vector<Matrix>& parts) {
    Matrix sum = Matrix::Zero(parts[0].rows(), parts[0].cols());
    for (const Matrix& part : parts) sum += part;
    return sum;
  }
  Matrix All() const { return Sum(heads) + Sum(mlps); }
};

class LabelledStore : public testing::Test {
 protected:
  static constexpr Index kClasses = 4;
  static constexpr Index kImages = 20;

  LabelledStore() {
    RandomModel{}.Write(path("model"));
    model_.emplace(ClipModel::Load(path("model")));
    WriteRandomPictures(path("pictures"), kImages, 24);
    classifier_ = UnitRows(kClasses, 10, 5);
    labels_ = SomeLabels(kImages);
  }

  std::filesystem::path path(const std::string& name) const { return directory_.path() / name; }

  // Every seventh picture has none.
  static std::vector<Index> SomeLabels(Index images) {
    std::vector<Index> labels;
    for (Index b = 0; b < images; ++b) labels.push_back(b % 7 == 3 ? -1 : (b * 5 + b / 3) % 4);
    return labels;
  }

  Store Decomposed(const std::string& pictures, const std::string& out,
                   Index shard_images = kShardImages, bool stats_only = false) const {
    DecomposeOptions options;
    options.out = path(out);
    options.threads = 2;
    options.shard_images = shard_images;
    options.stats_only = stats_only;
    Decompose(*model_, *OpenImageSet(path(pictures)), options);
    return Store::Open(path(out));
  }

  // Pictures named by number, the same one `count` times.
  void WriteEqualPictures(const std::string& folder, Index count) const {
    const std::vector<std::uint8_t> png = EncodePng(RandomPicture(1, 24, 27));
    for (Index i = 0; i < count; ++i) {
      directory_.Write(folder + "/" + std::to_string(i) + ".png",
                       {reinterpret_cast<const char*>(png.data()), png.size()});
    }
  }

  struct Measured {
    double accuracy = 0;
    double score = 0;
  };
  // Of representations [B, E] against the classifier, over the pictures with a label.
  Measured Measure(const Matrix& representations, const std::vector<Index>& labels) const {
    const Matrix scores = representations * AsEigen(classifier_.view()).cast<double>().transpose();
    Measured m;
    double counted = 0;
    for (Index b = 0; b < scores.rows(); ++b) {
      const Index label = At(labels, b);
      if (label < 0) continue;
      Index best = 0;
      scores.row(b).maxCoeff(&best);
      m.accuracy += best == label ? 1 : 0;
      m.score += scores(b, label);
      ++counted;
    }
    return {m.accuracy / counted, m.score / counted};
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  Array<float, 2> classifier_;
  std::vector<Index> labels_;
};

}  // namespace cliplens
