#include "cliplens/model/clip.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {

struct ClipModel::LazyTokenizer {
  std::once_flag once;
  std::optional<Tokenizer> tokenizer;
};

ClipModel ClipModel::Load(const std::filesystem::path& directory) {
  return ClipModel(LoadCheckpoint(directory));
}

ClipModel::ClipModel(Checkpoint checkpoint)
    : checkpoint_(std::make_unique<Checkpoint>(std::move(checkpoint))),
      vision_(config().vision, config().activation, tensors(), "vision", config().embed_width,
              /*causal=*/false),
      text_(config().text, config().activation, tensors(), "text", config().embed_width,
            /*causal=*/true),
      tokenizer_(std::make_shared<LazyTokenizer>()) {}

const Tokenizer& ClipModel::tokenizer() const {
  std::call_once(tokenizer_->once, [&] {
    Tokenizer loaded = Tokenizer::Load(checkpoint_->directory, config().context_length);
    if (loaded.vocabulary_size() > config().vocabulary_size) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: the vocabulary has {} entries, the model {}; they do not belong together",
                  checkpoint_->directory.string(), loaded.vocabulary_size(),
                  config().vocabulary_size);
    }
    tokenizer_->tokenizer.emplace(std::move(loaded));
  });
  return *tokenizer_->tokenizer;
}

double ClipModel::logit_scale() const {
  return std::exp(static_cast<double>(tensors().at("logit_scale").values.at(0)));
}

void ClipModel::EmbedImage(ArrayView<const float, 3> pixels, std::span<float> embedding,
                           Workspace& w, Activations* activations) const {
  const Index side = config().preprocess.image_size;
  if (pixels.shape() != Shape<3>{3, side, side}) {
    throw Error(ErrorCode::kInvalidArgument,
                "pixels [{}, {}, {}] given to a model that reads [3, {}, {}]; use Preprocess with "
                "the model's own configuration",
                pixels.dim(0), pixels.dim(1), pixels.dim(2), side, side);
  }
  const Index width = config().vision.width;
  const Index patch = config().patch_size;
  const Index grid = config().grid();
  const Index inputs = 3 * patch * patch;
  const auto grow = [](std::vector<float>& v, Index n) {
    if (static_cast<Index>(v.size()) < n) v.resize(static_cast<std::size_t>(n));
  };
  grow(w.x, config().tokens() * width);
  grow(w.patches, grid * grid * inputs);
  // Patches as rows [g², 3·P·P], in the order of the convolution's weight.
  float* out = w.patches.data();
  for (Index gy = 0; gy < grid; ++gy) {
    for (Index gx = 0; gx < grid; ++gx) {
      for (Index c = 0; c < 3; ++c) {
        for (Index y = 0; y < patch; ++y, out += patch) {
          const float* row = pixels.data() + (c * side + gy * patch + y) * side + gx * patch;
          std::copy_n(row, patch, out);
        }
      }
    }
  }
  const auto weights = [&](const char* name) { return tensors().at(name).values.data(); };
  std::copy_n(weights("vision.class"), width, w.x.data());
  nn::Linear({.rows = grid * grid,
              .in = inputs,
              .out = width,
              .x = w.patches.data(),
              .x_stride = inputs,
              .weight = weights("vision.patch.weight"),
              .y = w.x.data() + width,
              .y_stride = width});
  const float* position = weights("vision.position");
  for (Index i = 0; i < config().tokens() * width; ++i) {
    w.x[static_cast<std::size_t>(i)] += position[i];
  }
  nn::LayerNorm(w.x.data(), config().tokens(), width, weights("vision.ln_pre.gain"),
                weights("vision.ln_pre.bias"), static_cast<float>(config().vision.norm_epsilon),
                w.x.data());
  vision_.Run(config().tokens(), 0, w, embedding, activations);
}

void ClipModel::EmbedText(const Tokens& tokens, std::span<float> embedding, Workspace& w,
                          Activations* activations) const {
  const Index width = config().text.width;
  const Index count = tokens.end + 1;
  if (count > config().context_length || count > static_cast<Index>(tokens.ids.size())) {
    throw Error(ErrorCode::kInvalidArgument, "a text of {} tokens for a context of {}", count,
                config().context_length);
  }
  if (static_cast<Index>(w.x.size()) < count * width) {
    w.x.resize(static_cast<std::size_t>(count * width));
  }
  const float* table = tensors().at("text.token").values.data();
  const float* position = tensors().at("text.position").values.data();
  for (Index i = 0; i < count; ++i) {
    const Index id = tokens.ids[static_cast<std::size_t>(i)];
    if (id < 0 || id >= config().vocabulary_size) {
      throw Error(ErrorCode::kInvalidArgument, "token {} for a vocabulary of {}", id,
                  config().vocabulary_size);
    }
    for (Index k = 0; k < width; ++k) {
      w.x[static_cast<std::size_t>(i * width + k)] =
          table[id * width + k] + position[i * width + k];
    }
  }
  text_.Run(count, tokens.end, w, embedding, activations);
}

std::vector<Tokens> ClipModel::TokenizeTexts(std::span<const std::string> texts, bool truncate,
                                             int threads) const {
  const Tokenizer& shared = tokenizer();
  std::vector<Tokens> tokens(texts.size());
  ParallelFor(threads, static_cast<Index>(texts.size()), [&](Index i, int) {
    tokens[static_cast<std::size_t>(i)] = shared.Encode(texts[static_cast<std::size_t>(i)]);
  });
  if (truncate) return tokens;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].truncated) continue;
    constexpr std::size_t kShown = 60;
    std::string shown = texts[i];
    if (shown.size() > kShown) {
      std::size_t cut = kShown;
      while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xC0) == 0x80) --cut;
      shown = shown.substr(0, cut) + "…";
    }
    throw Error(ErrorCode::kInvalidArgument,
                "text {} ('{}') has more tokens than the context of {}; shorten it, or cut long "
                "texts as the reference does with --truncate",
                i + 1, shown, config().context_length);
  }
  return tokens;
}

Array<float, 2> ClipModel::EmbedTexts(std::span<const std::string> texts, bool truncate,
                                      int threads, const ProgressSink& progress) const {
  const std::vector<Tokens> tokens = TokenizeTexts(texts, truncate, threads);
  const auto count = static_cast<Index>(texts.size());
  Array<float, 2> rows({count, config().embed_width});
  const int workers = ResolveThreads(threads);
  std::vector<Workspace> workspaces(static_cast<std::size_t>(workers));
  std::mutex mutex;
  Index done = 0;
  ParallelFor(workers, count, [&](Index i, int worker) {
    EmbedText(tokens[static_cast<std::size_t>(i)], rows.row(i),
              workspaces[static_cast<std::size_t>(worker)]);
    if (progress) {
      const std::lock_guard lock(mutex);
      progress(++done, count);
    }
  });
  return rows;
}

}  // namespace cliplens
