// Names of models on the hub, and of weights that open_clip publishes.
#include <algorithm>
#include <string>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/model/architectures.h"
#include "cliplens/model/hub_cache.h"
#include "cliplens/model/published_weights.h"

namespace cliplens {
namespace {

TEST(HubName, IsReadAndWritten) {
  const HubName name = ParseHubName("hf:org/some-Model.v1@refs/pr/1");
  EXPECT_EQ(name.repository, "org/some-Model.v1");
  EXPECT_EQ(name.revision, "refs/pr/1");
  EXPECT_EQ(HubNameText(name), "hf:org/some-Model.v1@refs/pr/1");
  EXPECT_EQ(HubNameText(ParseHubName("hf:org/a")), "hf:org/a");
  for (const char* revision :
       {"", "..", "a/../b", "/a", "a/", "a//b", ".a", "a/.b", "-a", "a b", "a\n", "a?b", "a%2f"}) {
    ExpectError(ErrorCode::kInvalidArgument, "revision",
                [&] { ParseHubName(std::string("hf:org/a@") + revision); });
  }
}

TEST(HubName, OfASnapshot) {
  const std::string commit(40, 'a');
  EXPECT_EQ(HubNameOfSnapshot("/x/hub/models--org--my-model/snapshots/" + commit),
            "hf:org/my-model@" + commit);
  for (const std::string& path :
       {std::string("/x/models--org--a/snapshots/main"), "/x/models--org/snapshots/" + commit,
        "/x/models--org--a/blobs/" + commit, "/x/org--a/snapshots/" + commit, std::string("/")}) {
    EXPECT_EQ(HubNameOfSnapshot(path), "") << path;
  }
}

TEST(PublishedWeights, AreFoundAsOpenClipFindsThem) {
  ASSERT_NE(FindPublishedWeights("ViT-B-32/openai"), nullptr);
  const PublishedWeights& openai = *FindPublishedWeights("ViT-B/32/openai");
  EXPECT_EQ(openai.repository, "timm/vit_base_patch32_clip_224.openai");
  EXPECT_TRUE(openai.url.ends_with("/ViT-B-32.pt"));
  EXPECT_TRUE(openai.quick_gelu);
  EXPECT_EQ(FindPublishedWeights("ViT-B-32/LAION2B-s34B-b79K")->tag, "laion2b_s34b_b79k");
  for (const char* name :
       {"", "/", "ViT-B-32", "ViT-B-32/", "ViT-B-32/none", "openai", "a/openai"}) {
    EXPECT_EQ(FindPublishedWeights(name), nullptr) << name;
  }
  EXPECT_EQ(PublishedTags("ViT-g-14"), "laion2b_s12b_b42k, laion2b_s34b_b88k");
  EXPECT_EQ(PublishedTags("none"), "");
}

// All repositories have names that can be pulled, and many of them architectures that are
// evaluated.
TEST(PublishedWeights, HaveNamesOfTheHub) {
  int evaluated = 0;
  for (const PublishedWeights& row : AllPublishedWeights()) {
    EXPECT_NO_THROW(ParseHubName("hf:" + std::string(row.repository))) << row.repository;
    evaluated += static_cast<int>(std::ranges::count(ArchitectureNames(), row.architecture));
  }
  EXPECT_GE(evaluated, 80);
}

}  // namespace
}  // namespace cliplens
