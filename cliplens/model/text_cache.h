// Embeddings of text pools, kept between runs: a pool of thousands takes a model many seconds.
//
//   const Array<float, 2> texts = CachedTexts(model, pool.texts, {.threads = 0});
//
// The cache directory has one file for each model and pool. Nothing is ever removed; the directory
// may be deleted at any time.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "cliplens/base/array.h"
#include "cliplens/base/progress.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// $XDG_CACHE_HOME/cliplens, else ~/.cache/cliplens; empty where neither is an absolute path.
std::filesystem::path CacheDirectory();

struct CachedTextsOptions {
  bool truncate = false;  // as for ClipModel::EmbedTexts; if no text is cut, rows serve both
  int threads = 0;
  ProgressSink progress = {};
  std::filesystem::path directory = CacheDirectory();  // empty: nothing is kept
};

// Unit rows [M, E] of texts by code outside, such as the text tower of a model that runs elsewhere.
using TextEncoder =
    std::function<Array<float, 2>(std::span<const std::string> texts, bool truncate)>;

// The model of the rows. It is loaded only if rows must be computed.
struct RowModel {
  // A loaded model, which must outlive this.
  RowModel(const ClipModel& loaded);  // NOLINT(google-explicit-constructor): every model is one
  RowModel(std::string model_fingerprint, Precision model_precision,
           std::function<const ClipModel&()> load_model)
      : fingerprint(std::move(model_fingerprint)),
        precision(model_precision),
        load(std::move(load_model)) {}

  std::string fingerprint;
  Precision precision;
  std::function<const ClipModel&()> load;
  TextEncoder encoder = {};  // in place of the model's own tower

  // Throws as `load` and ClipModel::EmbedTexts, or as `encoder`; Error(kInvalidArgument) for rows
  // of the encoder that are not those of the texts.
  Array<float, 2> EmbedTexts(std::span<const std::string> texts, bool truncate, int threads,
                             const ProgressSink& progress = {}) const;
};

// Unit rows [M, E] as ClipModel::EmbedTexts gives them. The model is loaded only if the cache has
// no intact file of these texts; a damaged file is replaced. If the directory cannot be read or
// written, rows are computed each time. The fingerprint covers weights only, so models with the
// same weights and different tokenizers share files. Throws as RowModel::load and
// ClipModel::EmbedTexts.
Array<float, 2> CachedTexts(const RowModel& model, std::span<const std::string> texts,
                            const CachedTextsOptions& options);

// The key of cached rows: their kind ("classes") and everything that they are computed from.
struct CacheKey {
  std::string kind;
  std::string fingerprint;
  Precision precision = Precision::kF32;
  std::span<const std::string> texts;
};
// Rows [count, E] that `make` computes from the key's texts and model, such as the rows of classes,
// cached in the same way.
Array<float, 2> CachedRows(const CacheKey& key, Index count, const CachedTextsOptions& options,
                           const std::function<Array<float, 2>()>& make);

}  // namespace cliplens
