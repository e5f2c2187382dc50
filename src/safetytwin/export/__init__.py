"""A state in the forms that people already use: an Ansible inventory and playbook, a compose file, a document."""
