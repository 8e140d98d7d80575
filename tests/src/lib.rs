//! System tests that start real processes, operator suites, and the rules of the repository.
