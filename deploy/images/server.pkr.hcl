# A machine image with Batuta installed and nothing started, for Amazon EC2 and Google Compute Engine. From this folder:
#   pip wheel --no-deps -w build ../.. && cp -r ../../constraints.txt ../systemd build/
#   packer init . && packer build -only='amazon-ebs.*' .
#   packer build -only='googlecompute.*' -var gcp_project=PROJECT .
# cloud-init/server.yaml or cloud-init/agent.yaml, given as user data, makes a server or an agent of a machine from it.

variable "version" {
  type    = string
  default = "0.1.0"
}

variable "build" {
  type        = string
  default     = "build"
  description = "Folder with the wheel, constraints.txt and systemd/."
}

variable "aws_region" {
  type    = string
  default = "eu-central-1"
}

variable "gcp_project" {
  type    = string
  default = ""
}

variable "gcp_zone" {
  type    = string
  default = "europe-west3-a"
}

locals {
  stamp = formatdate("YYYYMMDDhhmmss", timestamp())
  name  = "batuta-${replace(var.version, ".", "-")}-${local.stamp}"
}

source "amazon-ebs" "server" {
  ami_name        = local.name
  ami_description = "Batuta ${var.version} on Debian 12"
  region          = var.aws_region
  instance_type   = "t3.small"
  ssh_username    = "admin"
  encrypt_boot    = true
  ena_support     = true

  source_ami_filter {
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    # Debian's own account.
    owners      = ["136693071363"]
    most_recent = true
  }

  tags = {
    Name    = local.name
    Product = "batuta"
    Version = var.version
  }
}

source "googlecompute" "server" {
  project_id              = var.gcp_project
  zone                    = var.gcp_zone
  machine_type            = "e2-small"
  source_image_family     = "debian-12"
  source_image_project_id = ["debian-cloud"]
  ssh_username            = "packer"
  use_os_login            = false
  image_name              = local.name
  image_family            = "batuta"
  image_description       = "Batuta ${var.version} on Debian 12"
  image_labels = {
    product = "batuta"
  }
}

build {
  sources = ["source.amazon-ebs.server", "source.googlecompute.server"]

  # The first boot has to be over, or two of them would use apt at once.
  provisioner "shell" {
    inline = ["cloud-init status --wait || true", "mkdir -p /tmp/batuta"]
  }

  provisioner "file" {
    source      = "${var.build}/"
    destination = "/tmp/batuta"
  }

  provisioner "file" {
    source      = "install.sh"
    destination = "/tmp/install.sh"
  }

  provisioner "shell" {
    inline = [
      "sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends cloud-init unattended-upgrades",
      "sudo sh /tmp/install.sh /tmp/batuta",
      # What belongs to one machine, every one made from the image makes anew.
      "sudo rm -rf /tmp/batuta /tmp/install.sh /etc/ssh/ssh_host_* /var/lib/apt/lists/*",
      "sudo cloud-init clean --logs --seed",
      "sudo truncate -s 0 /etc/machine-id",
    ]
  }
}
