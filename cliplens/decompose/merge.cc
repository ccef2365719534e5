#include "cliplens/decompose/merge.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/factor_sink.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/sums.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

using Input = MergeInput;

const DataSource& SetOf(const Input& input) { return input.manifest.info.data.front(); }

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
  check(std::string(NameOf(a.level)), std::string(NameOf(b.level)), "levels");
  check(a.factor_constants, b.factor_constants, "constants of factors");
  if (a.stats_only != b.stats_only) Refuse(first, other, "one has statistics only");
  const std::string run =
      JsonDifference(RunJson(a).value("neurons", Json()), RunJson(b).value("neurons", Json()));
  if (!run.empty()) Refuse(first, other, "neurons differ: " + run);
}

// Refuses two inputs that are parts of one set but not of one run over it.
void CheckPartsOfOneRun(const Input& first, const Input& other) {
  const StoreInfo& a = first.manifest.info;
  const StoreInfo& b = other.manifest.info;
  const std::string difference = JsonDifference(RunJson(a)["data"], RunJson(b)["data"], "data");
  if (!difference.empty()) {
    Refuse(first, other,
           "they are parts of the same pictures as they were at two times: " + difference);
  }
  if (a.part->parts != b.part->parts) {
    Refuse(
        first, other,
        fmt::format("they overlap: part {} of {} and part {} of {} of the pictures of {}",
                    a.part->index, a.part->parts, b.part->index, b.part->parts, SetOf(first).root));
  }
}

// Sorts the parts of a set by number. Each must be there once.
void SortParts(std::vector<Input>& parts) {
  const auto number = [](const Input& i) { return i.manifest.info.part->index; };
  std::ranges::stable_sort(parts, {}, number);
  const StorePart part = *parts.front().manifest.info.part;
  const std::string& root = SetOf(parts.front()).root;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (number(parts[i]) == number(parts[i - 1])) {
      Refuse(parts[i - 1], parts[i],
             fmt::format("both are part {} of {} of the pictures of {}", number(parts[i]),
                         part.parts, root));
    }
  }
  std::string missing;
  auto next = parts.begin();
  for (Index i = 0; i < part.parts; ++i) {
    if (next != parts.end() && number(*next) == i) {
      ++next;
    } else {
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", i);
    }
  }
  if (!missing.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "part {} of {} of the pictures of {} is missing; name all parts ({} is part {})",
                Printable(missing, 200), part.parts, root, parts.front().directory.string(),
                part.index);
  }
}

// The inputs in the order in which one run over their sets would have written them: parts of a set
// stand together, by number, where the first of them was named.
std::vector<Input> InOrder(std::vector<Input> inputs) {
  std::vector<std::vector<Input>> groups;
  for (Input& input : inputs) {
    auto group = groups.end();
    if (input.manifest.info.part) {
      group = std::ranges::find_if(groups, [&](const std::vector<Input>& g) {
        return g.front().manifest.info.part && SetOf(g.front()).root == SetOf(input).root;
      });
    }
    if (group == groups.end()) {
      groups.emplace_back().push_back(std::move(input));
    } else {
      CheckPartsOfOneRun(group->front(), input);
      group->push_back(std::move(input));
    }
  }
  std::vector<Input> ordered;
  for (std::vector<Input>& group : groups) {
    if (group.front().manifest.info.part) SortParts(group);
    std::ranges::move(group, std::back_inserter(ordered));
  }
  return ordered;
}

// A picture is to be counted once. Parts of one set have none in common. Sets that are listed alike
// in the same place are the same; the pictures of others are looked at one by one, which a store
// with statistics only cannot be.
void CheckNoOverlap(const std::vector<Input>& inputs) {
  struct Stores {
    std::vector<const Input*> whole;
    const Input* part = nullptr;  // the first of them
  };
  std::map<std::string, Stores> by_root;
  const auto check = [](const Input& other, const Input& input, const DataSource& source) {
    const bool same = std::ranges::any_of(other.manifest.info.data, [&](const DataSource& d) {
      return d.root == source.root && d.set_checksum == source.set_checksum;
    });
    if (same || input.manifest.info.stats_only) {
      Refuse(other, input,
             fmt::format("both have pictures of {}; a picture must be counted once", source.root));
    }
  };
  for (const Input& input : inputs) {
    for (const DataSource& source : input.manifest.info.data) {
      Stores& others = by_root[source.root];
      for (const Input* other : others.whole) {
        if (other != &input) check(*other, input, source);
      }
      if (!input.manifest.info.part) {
        if (others.part != nullptr) check(*others.part, input, source);
        others.whole.push_back(&input);
      } else if (others.part == nullptr) {
        others.part = &input;
      }
    }
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const Input& input : inputs) {
    for (const ShardInfo& shard : input.manifest.shards) {
      const std::string& root = At(input.manifest.info.data, shard.source).root;
      // Only sets that more than one store is of can share a picture.
      const Stores& stores = by_root[root];
      if (std::ssize(stores.whole) + (stores.part != nullptr ? 1 : 0) < 2) continue;
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

// What the merged store is of. Parts after the first add to its set; other stores bring sets of
// their own, from `first_set` on.
StoreInfo DescribeMerged(std::vector<Input>& inputs) {
  StoreInfo info = inputs.front().manifest.info;
  info.data.clear();
  info.skipped.clear();
  info.part.reset();
  for (Input& input : inputs) {
    const StoreInfo& from = input.manifest.info;
    input.first_set = static_cast<Index>(info.data.size());
    if (from.part && from.part->index > 0) {
      --input.first_set;
      info.data.back().images += from.data.front().images;
    } else {
      info.data.insert(info.data.end(), from.data.begin(), from.data.end());
    }
    for (const SkippedItem& skipped : from.skipped) {
      info.skipped.push_back({input.first_set + skipped.source, skipped.picture});
    }
  }
  return info;
}

}  // namespace

MergePlan PlanMerge(std::span<const fs::path> paths, StoreKind kind) {
  if (paths.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument, "merge needs at least two stores, {} given",
                paths.size());
  }
  std::vector<Input> inputs;
  for (const fs::path& path : paths) inputs.push_back({path, ReadManifest(path, kind)});
  for (const Input& input : inputs) {
    const StoreInfo& info = input.manifest.info;
    CheckCertificate(info.certificate.max, info.type, PathText(input.directory));
    CheckSameKind(inputs.front(), input);
  }
  MergePlan plan;
  plan.inputs = InOrder(std::move(inputs));
  CheckNoOverlap(plan.inputs);
  plan.info = DescribeMerged(plan.inputs);
  return plan;
}

void MergeStatistics(std::span<const fs::path> files, const fs::path& output) {
  std::optional<StatisticsSums> sums;
  for (const fs::path& file : files) {
    StatisticsSums read = StatisticsSums::Read(file);
    if (sums) {
      sums->Merge(read);
    } else {
      sums = std::move(read);
    }
  }
  if (!sums) throw Error(ErrorCode::kInvalidArgument, "no statistics to add up");
  sums->Write(output);
}

AssembledStore AssembleStore(std::span<const fs::path> parts, const fs::path& statistics) {
  MergePlan plan = PlanMerge(parts, StoreKind::kFactors);
  const StatisticsSums sums = StatisticsSums::Read(statistics);
  Manifest manifest;
  manifest.basis_checksum = plan.inputs.front().manifest.basis_checksum;
  manifest.statistics_checksum = HashFile(statistics);
  manifest.info = std::move(plan.info);
  StoreInfo& info = manifest.info;
  info.images = 0;
  AssembledStore assembled;
  for (const Input& input : plan.inputs) {
    info.images += input.manifest.info.images;
    for (ShardInfo shard : input.manifest.shards) {
      const Index number = std::ssize(manifest.shards);
      shard.source += input.first_set;
      shard.file = ShardFile(number);
      shard.items_file = ItemsFile(number);
      assembled.ranges.push_back(shard.range);
      manifest.shards.push_back(std::move(shard));
    }
  }
  if (sums.images() != info.images) {
    throw Error(ErrorCode::kCorruptData,
                "{}: is of {} pictures, the parts have {}; make them again", PathText(statistics),
                sums.images(), info.images);
  }
  if (info.images == 0) {
    throw Error(ErrorCode::kCorruptData, "{}: none of {} pictures can be read{}",
                info.data.front().root, info.data.front().set_images,
                info.skipped.empty() ? "" : "; the first: " + info.skipped.front().picture.message);
  }
  info.certificate = {sums.certificate_max(), sums.certificate_mean()};
  assembled.manifest = ManifestText(manifest);
  return assembled;
}

void MergeStores(std::span<const fs::path> paths, const fs::path& output) {
  MergePlan plan = PlanMerge(paths, StoreKind::kFactors);
  const Input& first = plan.inputs.front();
  CheckHash(first.directory / kBasisFile, first.manifest.basis_checksum);
  Basis basis = ReadBasis(first.directory / kBasisFile, plan.info.factor_constants);
  FactorSink sink(output, std::move(basis), std::move(plan.info), PartialDirectory::Mode::kNew,
                  "remove it and merge again");
  for (const Input& input : plan.inputs) {
    sink.AddStore(input.directory, input.manifest, input.first_set);
  }
  sink.Finish();
}

}  // namespace cliplens
