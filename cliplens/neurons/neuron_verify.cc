#include "cliplens/neurons/neuron_verify.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "cliplens/base/finite.h"
#include "cliplens/decompose/store_checks.h"
#include "cliplens/neurons/neuron_store.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

// Tensors of a shard have the shapes that the basis asks for, and finite values.
void CheckNeuronShard(const StoreChecks& checks, const ShardInfo& shard,
                      std::span<const NeuronPaths> paths) {
  CheckHash(checks.directory() / shard.file, shard.checksum);
  const SafetensorsFile file(checks.directory() / shard.file);
  std::set<std::string> known;
  const auto check = [&](const std::string& name, const std::vector<Index>& shape) {
    known.insert(name);
    const TensorEntry& entry = file.at(name);
    if (entry.shape != shape || entry.type != DataType::kF32) {
      checks.Fail(shard.file, "'{}' is {} {}, {} F32 was expected", name, ShapeText(entry.shape),
                  NameOf(entry.type), ShapeText(shape));
    }
    const std::vector<float> values = file.ReadAsFloat(entry);
    if (!AllFinite(std::span(values))) {
      checks.Fail(shard.file, "a number of '{}' is not finite", name);
    }
  };
  for (const NeuronPaths& p : paths) {
    check(AlphaName(p.layer()), {p.neurons(), shard.images, p.channels()});
    check(SharedName(p.layer()), {shard.images, p.shared().rows()});
  }
  check("embedding", {shard.images, paths.front().embed_width()});
  for (const auto& [name, entry] : file.tensors()) {
    if (!known.contains(name)) checks.Fail(shard.file, "has a tensor '{}', a shard has none", name);
  }
}

void CompareNeuronBasis(const StoreChecks& checks, const ClipModel& model,
                        std::span<const NeuronPaths> paths, int threads) {
  constexpr double kRounding = 1e-6;  // to fp32, and sums in another order
  const auto compare = [&](const Matrix& made, const Matrix& stored) {
    const bool same = made.rows() == stored.rows() && made.cols() == stored.cols() &&
                      (made - stored).cwiseAbs().maxCoeff() <=
                          kRounding * std::max(made.cwiseAbs().maxCoeff(), 1e-30);
    if (!same) checks.FailModel("its basis differs from the model's");
  };
  for (const NeuronPaths& stored : paths) {
    const bool text = checks.manifest().info.neurons->text;
    const NeuronPaths made(text ? model.text_tower() : model.image_tower(),
                           text ? model.text_readout() : model.image_readout(), stored.layer(),
                           threads);
    if (made.values().size() != stored.values().size()) {
      checks.FailModel("its basis has other layers");
    }
    for (std::size_t at = 0; at < made.values().size(); ++at) {
      compare(made.values()[at], stored.values()[at]);
      compare(made.writes()[at], stored.writes()[at]);
    }
    compare(made.shared(), stored.shared());
  }
}

void CheckNeuronStatistics(StoreChecks& checks, std::span<const NeuronPaths> paths,
                           const VerifyOptions& options) {
  const Manifest& manifest = checks.manifest();
  CheckHash(checks.directory() / kStatisticsFile, manifest.statistics_checksum);
  if (manifest.info.part) return;  // it has none
  (void)ReadNeuronStatistics(checks.directory() / kStatisticsFile, paths, manifest.info.images);
  if (manifest.info.stats_only) return;  // there is nothing to compute them from
  std::vector<NeuronShard> shards;
  for (const ShardInfo& shard : manifest.shards) {
    shards.push_back({checks.directory() / shard.file, shard.images, shard.checksum});
  }
  const NeuronStatistics again = StatisticsOfShards(shards, paths, manifest.info.neurons->top,
                                                    options.threads, options.progress);
  if (ChecksumOf(paths, again) != manifest.statistics_checksum) {
    checks.Fail(kStatisticsFile, "is not what the shards add up to");
  }
}

}  // namespace

std::vector<Problem> VerifyNeuronStore(const fs::path& directory, const VerifyOptions& options) {
  std::optional<Manifest> manifest;
  try {
    manifest = ReadManifest(directory, StoreKind::kNeurons);
  } catch (const Error& error) {
    return {{error.code(), kManifestFile, error.what()}};
  }
  StoreChecks checks(directory, *manifest);
  checks.CheckNames();
  checks.CheckCounts();
  std::vector<NeuronPaths> paths;
  checks.Check(kBasisFile, [&] {
    CheckHash(directory / kBasisFile, manifest->basis_checksum);
    paths = ReadNeuronBasis(directory / kBasisFile, manifest->info.neurons->layers,
                            HeadsOf(manifest->info, directory));
  });
  for (const ShardInfo& shard : manifest->shards) {
    (void)checks.CheckItems(shard);
    if (paths.empty()) continue;
    checks.Check(shard.file, [&] { CheckNeuronShard(checks, shard, paths); });
  }
  if (!paths.empty() && checks.problems().empty()) {
    checks.Check(kStatisticsFile, [&] { CheckNeuronStatistics(checks, paths, options); });
  }
  if (options.model != nullptr) {
    checks.Check("", [&] {
      checks.CompareModel(*options.model);
      CompareNeuronBasis(checks, *options.model, paths, options.threads);
    });
  }
  return std::move(checks.problems());
}

}  // namespace cliplens
