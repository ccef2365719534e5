#include "cliplens/app/model_info.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "cliplens/base/parallel.h"
#include "cliplens/decompose/basis.h"

namespace cliplens {
namespace {

// Parameters under a prefix of the tensors' names.
Index ParametersOf(const ClipModel& model, std::string_view prefix) {
  Index n = 0;
  for (const auto& [name, tensor] : model.tensors()) {
    if (!name.starts_with(prefix)) continue;
    Index size = 1;
    for (Index d : tensor.shape) size *= d;
    n += size;
  }
  return n;
}

}  // namespace

ModelInfo DescribeModel(const ClipModel& model, int threads) {
  const Basis basis = MakeBasis(model.image_readout(), threads);
  ModelInfo info{.name = model.name(),
                 .layout = model.layout(),
                 .files = {},
                 .fingerprint = model.fingerprint(),
                 .config = model.config(),
                 .logit_scale = model.logit_scale(),
                 .logit_bias = model.logits().bias,
                 .parameters = ParametersOf(model, ""),
                 .vision_parameters = ParametersOf(model, "vision."),
                 .text_parameters = ParametersOf(model, "text."),
                 .factor_width = basis.factor_width(),
                 .ranks = Array<Index, 2>({basis.layers(), basis.num_heads()})};
  for (const std::filesystem::path& file : model.files()) info.files.push_back(file.string());
  if (basis.is_identity()) {
    // A head of K numbers writes into rows that Q weights pool.
    const Index rank = std::min(model.image_readout().pools() * model.config().vision.head_width(),
                                basis.embed_width());
    std::ranges::fill(info.ranks.flat(), rank);
    return info;
  }
  ParallelFor(threads, basis.layers() * basis.num_heads(), [&](Index i, int) {
    const Index l = i / basis.num_heads();
    const Index h = i % basis.num_heads();
    info.ranks(l, h) = CoordinatesOf(basis.at({static_cast<int>(l), static_cast<int>(h)})).rank();
  });
  return info;
}

}  // namespace cliplens
