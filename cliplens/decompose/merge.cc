#include "cliplens/decompose/merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/sums.h"
#include "cliplens/io/file.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

struct Input {
  fs::path directory;
  Manifest manifest;
  const DataSource& set() const { return manifest.info.data.front(); }
};

[[noreturn]] void Refuse(const Input& a, const Input& b, const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, "{} and {} cannot be merged: {}", a.directory.string(),
              b.directory.string(), reason);
}

void CheckSameKind(const Input& first, const Input& other) {
  const StoreInfo& a = first.manifest.info;
  const StoreInfo& b = other.manifest.info;
  if (a.fingerprint != b.fingerprint) {
    Refuse(first, other,
           fmt::format("models differ ({} {} and {} {})", a.model_name, a.fingerprint, b.model_name,
                       b.fingerprint));
  }
  // The configuration decides how pictures and texts are prepared; the fingerprint does not cover
  // it.
  const std::string config = JsonDifference(a.model_config, b.model_config, "model.config");
  if (!config.empty()) Refuse(first, other, "configurations of the model differ: " + config);
  const auto check = [&](const auto& x, const auto& y, const char* what) {
    if (x != y) Refuse(first, other, fmt::format("{} differ ({} and {})", what, x, y));
  };
  check(a.slices, b.slices, "numbers of slices");
  check(std::string(NameOf(a.type)), std::string(NameOf(b.type)), "storage types");
  check(a.precision, b.precision, "precisions");
  if (a.stats_only != b.stats_only) Refuse(first, other, "one has statistics only");
}

// The inputs in the order in which one run over their sets would have written them: parts of a set
// stand together, by number, where the first of them was named.
std::vector<Input> InOrder(std::vector<Input> inputs) {
  std::vector<std::vector<Input>> groups;
  for (Input& input : inputs) {
    const std::optional<StorePart>& part = input.manifest.info.part;
    auto group = groups.end();
    if (part) {
      group = std::ranges::find_if(groups, [&](const std::vector<Input>& g) {
        return g.front().manifest.info.part && g.front().set().root == input.set().root;
      });
    }
    if (group == groups.end()) {
      groups.emplace_back().push_back(std::move(input));
      continue;
    }
    const Input& first = group->front();
    const StorePart& other = *first.manifest.info.part;
    const std::string difference = JsonDifference(RunJson(first.manifest.info)["data"],
                                                  RunJson(input.manifest.info)["data"], "data");
    if (!difference.empty()) {
      Refuse(first, input,
             "they are parts of the same pictures as they were at two times: " + difference);
    }
    if (other.parts != part->parts) {
      Refuse(first, input,
             fmt::format("they overlap: part {} of {} and part {} of {} of the pictures of {}",
                         other.index, other.parts, part->index, part->parts, first.set().root));
    }
    group->push_back(std::move(input));
  }
  std::vector<Input> ordered;
  for (std::vector<Input>& group : groups) {
    if (group.front().manifest.info.part) {
      const auto number = [](const Input& i) { return i.manifest.info.part->index; };
      std::ranges::stable_sort(group, {}, number);
      const StorePart part = *group.front().manifest.info.part;
      for (std::size_t i = 1; i < group.size(); ++i) {
        if (number(group[i]) == number(group[i - 1])) {
          Refuse(group[i - 1], group[i],
                 fmt::format("both are part {} of {} of the pictures of {}", number(group[i]),
                             part.parts, group[i].set().root));
        }
      }
      std::string missing;
      for (Index i = 0; i < part.parts; ++i) {
        if (std::ranges::find(group, i, number) == group.end()) {
          missing += fmt::format("{}{}", missing.empty() ? "" : ", ", i);
        }
      }
      if (!missing.empty()) {
        throw Error(ErrorCode::kInvalidArgument,
                    "part {} of {} of the pictures of {} is missing; name all parts ({} is part "
                    "{})",
                    Printable(missing, 200), part.parts, group.front().set().root,
                    group.front().directory.string(), part.index);
      }
    }
    std::ranges::move(group, std::back_inserter(ordered));
  }
  return ordered;
}

// A picture is to be counted once. Sets that are listed alike in the same place are the same; the
// pictures of others are looked at one by one, which a store with statistics only cannot be.
void CheckNoOverlap(const std::vector<Input>& inputs) {
  std::map<std::string, std::vector<const Input*>> by_root;
  for (const Input& input : inputs) {
    for (const DataSource& source : input.manifest.info.data) {
      std::vector<const Input*>& others = by_root[source.root];
      for (const Input* other : others) {
        if (other == &input || (other->manifest.info.part && input.manifest.info.part)) continue;
        const bool same = std::ranges::any_of(other->manifest.info.data, [&](const DataSource& d) {
          return d.root == source.root && d.set_checksum == source.set_checksum;
        });
        if (same || input.manifest.info.stats_only) {
          Refuse(
              *other, input,
              fmt::format("both have pictures of {}; a picture must be counted once", source.root));
        }
      }
      others.push_back(&input);
    }
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const Input& input : inputs) {
    for (const ShardInfo& shard : input.manifest.shards) {
      const std::string& root = At(input.manifest.info.data, shard.source).root;
      // Only sets that more than one store is of can share a picture.
      if (by_root[root].size() < 2) continue;
      for (const Item& item :
           ReadItemsFile(input.directory / shard.items_file, shard.images, shard.items_checksum)) {
        if (!seen.emplace(root, item.path).second) {
          throw Error(ErrorCode::kInvalidArgument,
                      "{}: picture {} of {} is in another of these stores too; a picture must be "
                      "counted once",
                      input.directory.string(), Printable(item.path), root);
        }
      }
    }
  }
}

}  // namespace

void MergeStores(std::span<const fs::path> paths, const fs::path& output) {
  if (paths.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument, "merge needs at least two stores, {} given",
                paths.size());
  }
  std::vector<Input> inputs;
  for (const fs::path& path : paths) inputs.push_back({path, ReadManifest(path)});
  for (const Input& input : inputs) CheckSameKind(inputs.front(), input);
  inputs = InOrder(std::move(inputs));
  CheckNoOverlap(inputs);

  PartialDirectory directory(output, PartialDirectory::Mode::kNew, "remove it and merge again");
  Manifest merged;
  merged.info = inputs.front().manifest.info;
  StoreInfo& info = merged.info;
  info.data.clear();
  info.skipped.clear();
  info.part.reset();
  StatisticsSums sums;
  for (const Input& input : inputs) {
    const StoreInfo& from = input.manifest.info;
    // Parts after the first add to its set; other stores bring sets of their own.
    Index offset = static_cast<Index>(info.data.size());
    if (from.part && from.part->index > 0) {
      info.data.back().images += from.data.front().images;
      --offset;
    } else {
      info.data.insert(info.data.end(), from.data.begin(), from.data.end());
    }
    CheckHash(input.directory / kStatisticsFile, input.manifest.statistics_checksum);
    StatisticsSums more = StatisticsSums::Read(input.directory / kStatisticsFile);
    if (&input == &inputs.front()) {
      sums = std::move(more);
    } else {
      sums.Merge(more);
    }
    for (const SkippedItem& skipped : from.skipped) {
      info.skipped.push_back({offset + skipped.source, skipped.picture});
    }
    for (ShardInfo shard : input.manifest.shards) {
      const auto number = static_cast<Index>(merged.shards.size());
      const auto copy = [&](const std::string& name, const std::string& to,
                            const std::string& checksum) {
        const MappedFile file(input.directory / name);
        if (HashBytes(file.bytes()) != checksum) CheckHash(file.path(), checksum);
        WriteFileAtomically(directory.path() / to, file.bytes());
      };
      copy(shard.file, ShardFile(number), shard.checksum);
      copy(shard.items_file, ItemsFile(number), shard.items_checksum);
      shard.file = ShardFile(number);
      shard.items_file = ItemsFile(number);
      shard.source += offset;
      merged.shards.push_back(std::move(shard));
    }
  }
  CheckHash(inputs.front().directory / kBasisFile, inputs.front().manifest.basis_checksum);
  const MappedFile basis(inputs.front().directory / kBasisFile);
  WriteFileAtomically(directory.path() / kBasisFile, basis.bytes());
  merged.basis_checksum = inputs.front().manifest.basis_checksum;
  info.images = sums.images();
  info.certificate = {sums.certificate_max(), sums.certificate_mean()};
  merged.statistics_checksum = sums.Write(directory.path() / kStatisticsFile);
  WriteFileAtomically(directory.path() / kManifestFile, ManifestText(merged));
  directory.Commit();
}

}  // namespace cliplens
