// The manifest of a store and the names of its files, for reading, writing, merging and verifying.
//
//   const Manifest manifest = ReadManifest("store/");
//   Print(manifest.info.images, manifest.shards.size());
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {

inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kProgressFile[] = "progress.json";
inline constexpr char kStatisticsFile[] = "stats.safetensors";
inline constexpr char kBasisFile[] = "basis.safetensors";
inline constexpr Index kMaxManifestBytes = Index{256} << 20;

std::string ShardFile(Index s);
std::string ItemsFile(Index s);
// Whether a store, or a run that writes one, has files of this name.
bool IsStoreFile(const std::string& name);

const char* NameOf(StoreType type);
// Throws Error(kUnsupported), which opens with `item`, for a certificate above CertificateBound.
void CheckCertificate(double certificate, StoreType type, const std::string& item);

struct Manifest {
  StoreInfo info;
  std::vector<ShardInfo> shards;
  std::string statistics_checksum;
  std::string basis_checksum;
};

// Checks the manifest's own checksum, version and every field. Errors as Store::Open; a store of
// another kind than `kind` is kUnsupported.
Manifest ReadManifest(const std::filesystem::path& directory, StoreKind kind = StoreKind::kFactors);
// What a directory's manifest says that it is; nothing where it has none or says neither.
std::optional<StoreKind> KindOf(const std::filesystem::path& directory);
// The text of the file.
std::string ManifestText(const Manifest& manifest);

// The settings of a run, for comparing runs: stores of the same pictures and RunJson have the same
// bytes.
Json RunJson(const StoreInfo& info);
// "'data[0].root' is A and B" of the first place where two values differ, or nothing.
std::string JsonDifference(const Json& a, const Json& b, const std::string& place = "");
// CheckSameRun for what RunJson gave.
void CheckSameRun(const Json& wanted, const Json& found, const std::string& place);

Json ShardJson(const ShardInfo& shard);
// `index` is the shard's place in the list, by which its files are named; `name` is the manifest's.
ShardInfo ParseShard(const Json& json, Index index, const std::string& name);
Json SkippedJson(const SkippedPicture& picture);
SkippedPicture ParseSkipped(const Json& json, const std::string& name);

// A set's entry of a manifest.
Json DataJson(const DataSource& source);
DataSource ParseData(const Json& json, const std::string& name);

// One line of an items file, without and with its end.
Json ItemJson(const Item& item);
std::string ItemLine(const Item& item);
Item ParseItem(const Json& line, const std::string& where);

std::string HashFile(const std::filesystem::path& path);
// Error(kCorruptData) naming the file and both checksums.
void CheckHash(const std::filesystem::path& path, const std::string& expected);

// The tensors of a shard file; they refer to the block and to `halves`.
struct ShardTensors {
  std::vector<std::vector<std::uint8_t>> halves;
  std::vector<TensorToWrite> tensors;
};
ShardTensors TensorsOf(const FactorBlock& block, StoreType type);
FactorBlock ReadShardFile(const SafetensorsFile& file, const Basis& basis, Index images);
// The items of such lines; `name` stands in messages.
std::vector<Item> ParseItems(std::string_view text, const std::string& name);
// The lines of an items file, whose text must have the checksum.
std::vector<Item> ReadItemsFile(const std::filesystem::path& path, Index images,
                                const std::string& checksum);

}  // namespace cliplens
