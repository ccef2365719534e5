// A store's directory. Checksums would keep every change from what lies behind them, so @NAME@ in
// the manifest stands for the checksum of the file NAME, its own included.
#include "cliplens/decompose/store.h"

#include "fuzz/fuzz.h"

#include "cliplens/decompose/verify.h"
#include "cliplens/io/file.h"

using namespace cliplens;

namespace {

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

std::string Hash(const std::string& content) {
  return HashBytes({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
}

}  // namespace

CLIPLENS_FUZZ_TARGET(store) {
  const fuzz::Scratch scratch;
  auto parts = fuzz::SplitParts(
      input, {"manifest.json", "items-00000.jsonl", "shard-00000.safetensors", "items-00001.jsonl",
              "shard-00001.safetensors", "stats.safetensors", "basis.safetensors"});
  std::string& manifest = parts["manifest.json"];
  for (const auto& [name, content] : parts) {
    if (name == "manifest.json") continue;
    scratch.Write(name, content);
    ReplaceAll(manifest, "@" + name + "@", Hash(content));
  }
  const std::size_t seal = manifest.rfind("@manifest.json@");
  if (seal != std::string::npos) {
    // The checksum is of the text with zeros in its own place.
    manifest.replace(seal, 15, std::string(32, '0'));
    manifest.replace(seal, 32, Hash(manifest));
  }
  scratch.Write("manifest.json", manifest);
  fuzz::Guard([&] {
    const Store store = Store::Open(scratch.path());
    fuzz::Guard([&] { (void)store.statistics().Total(store.basis()); });
    fuzz::Guard([&] { (void)store.statistics().HeadMoments({0, 0}); });
    fuzz::Guard([&] { (void)store.ReadItems(); });
    fuzz::Guard([&] { (void)store.ReadLn(); });
    fuzz::Guard([&] { (void)store.ReadEmbeddings(); });
    fuzz::Guard([&] { (void)store.ReadHead({0, 0}); });
    for (Index s = 0; s < store.num_shards(); ++s) {
      fuzz::Guard([&] { (void)store.ReadShard(s); });
    }
  });
  VerifyOptions options;
  options.threads = 1;
  for (const Problem& problem : VerifyStore(scratch.path(), options)) {
    fuzz::CheckMessage(Error(problem.code, "{}", problem.message));
  }
}
