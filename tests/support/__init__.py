"""What several tests share: a sandbox that counts what arrives, and fails as a test wants."""
